"""Critics in the runner: stalled runs are asked about, extended, nudged, killed - and run again."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

import longrun
from longrun import (
    Baseline,
    Category,
    Critic,
    ExtendBy,
    ExtendOnce,
    Failure,
    Kill,
    Ladder,
    Nudge,
    Outcome,
    Policy,
    Run,
    RunKilled,
    Runner,
    Task,
    retry,
)  # fmt: skip
from longrun.backoff import constant
from longrun.events import (
    AttemptFailed,
    KillOrdered,
    RunExtended,
    RunNudged,
    RunStalled,
)  # fmt: skip
from longrun.testing import Hang, RecordingListener, Script
from tests.longrun.task.asking import NODE_3_SERVICE_7, Asked, instants

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]
RunFor = Callable[..., Awaitable[Outcome]]


async def test_a_run_that_hangs_is_killed_and_runs_again(
    going: Going, events: RecordingListener
) -> None:  # fmt: skip
    """At its backstop, twice what is expected, though nobody decides anything; by the baseline it is SERVICE."""
    work, begun = Script(Hang(), "ok"), anyio.current_time()

    async with going(
        Task.every("poll", 100, work, stall=Critic(Asked(), expected=10)), baseline=NODE_3_SERVICE_7, listeners=[events]
    ) as runner:
        await anyio.sleep(19.9)
        before = runner.state()["poll"]
        await anyio.sleep(90)
        counts = runner.statistics()

    (failed,) = events.of(AttemptFailed)
    assert instants(work, begun) == [0, 27, 100]
    assert (before.phase, before.late) == ("running", True)
    assert isinstance(failed.error, RunKilled)
    assert (failed.category, failed.error.task) == (Category.SERVICE, "poll")
    assert failed.error.reason == "still running at its deadline, 20 s after its start"
    assert [(event.reason, event.by) for event in events.of(KillOrdered)] == [(failed.error.reason, "deadline")]
    assert (counts.killed, counts.timed_out, counts.failed) == (1, 0, 1)


@pytest.mark.parametrize(
    ("category", "calls", "gap"), [(Category.NODE, 2, 3), (Category.SERVICE, 2, 7), (Category.PERMANENT, 1, 0)]
)
async def test_what_a_kill_means_is_policy(category: Category, calls: int, gap: float, run_for: RunFor) -> None:
    """The application's own classifier is asked first."""
    work, stall = Script(Hang(), "ok"), Critic(Asked(Kill("no use")), expected=10)
    baseline = Baseline(
        NODE_3_SERVICE_7.node, NODE_3_SERVICE_7.service,
        classify=lambda error: Failure(category) if isinstance(error, RunKilled) else None,
    )  # fmt: skip

    outcome = await run_for(60, Task.every("poll", 100, work, stall=stall), baseline=baseline)

    assert work.calls == calls
    if calls == 2:
        assert work.started[1] - work.started[0] == pytest.approx(10 + gap, abs=0.02)
    else:
        assert isinstance(outcome.failures[0].error, RunKilled)


async def test_a_rule_of_the_task_may_speak_of_kills(run_for: RunFor) -> None:
    """Like of any other error."""
    work, stall = Script(Hang(), Hang(), "ok"), Critic(Asked(Kill("no use")), expected=10)
    rule = retry.on(RunKilled, 1, constant(1))

    outcome = await run_for(60, Task.every("poll", 100, work, rule, stall=stall), baseline=Baseline())

    assert work.calls == 2
    assert outcome.failures[0].reason == "the one retry of rule 'RunKilled' is spent"


async def test_a_run_is_extended_once_over_all_its_attempts(run_for: RunFor, events: RecordingListener) -> None:
    """The second attempt ends at its backstop; the next run has its extension again."""
    work, begun = Script(Hang(), Hang(), 0.0, Hang(), 0.0), anyio.current_time()
    stall = Critic(ExtendOnce(30), expected=10)

    await run_for(
        190, Task.every("poll", 100, work, stall=stall), baseline=NODE_3_SERVICE_7, listeners=[events]
    )  # fmt: skip

    # 0: extended at 10 to 40; 47: ended at 67; 74: fine; 100: a new run, extended at 110 to 140; 147: fine.
    assert instants(work, begun) == [0, 47, 74, 100, 147]
    assert [round(event.deadline - begun) for event in events.of(RunExtended)] == [40, 140]
    assert len({event.run for event in events.of(RunExtended)}) == 2


async def test_a_wait_between_two_attempts_is_nobodys_stall(run_for: RunFor, events: RecordingListener) -> None:
    """Only what an attempt takes counts: an hour of backoff, and the critic has nothing to say."""
    asked = Asked(Kill("too long"))
    work = Script(ConnectionError(), ConnectionError(), 9.0)

    await run_for(
        8000, Task.once("job", work, stall=Critic(asked, expected=10)),
        baseline=Baseline(node=Policy(constant(3600))), listeners=[events],
    )  # fmt: skip

    assert work.calls == 3
    assert asked.told == []
    assert events.of(RunStalled) == []


async def test_a_kill_is_final(going: Going, events: RecordingListener) -> None:
    """What the escalator says afterwards changes nothing, and the first reason stays."""
    asked = Asked(Kill("first"), ExtendBy(1000), Kill("second"))
    ended: list[float] = []

    async def slow_to_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            ended.append(anyio.current_time() - begun)

    begun = anyio.current_time()
    async with going(
        Task.every("poll", 100, slow_to_end, stall=Critic(asked, expected=10)), baseline=NODE_3_SERVICE_7,
        listeners=[events],
    ) as runner:  # fmt: skip
        await anyio.sleep(11)
        again = runner.kill("poll", "operator")
        await anyio.sleep(5)

    assert again is False
    assert len(asked.told) == 1
    assert ended == pytest.approx([13])
    assert [event.reason for event in events.of(KillOrdered)] == ["first"]
    assert [str(event.error) for event in events.of(AttemptFailed)] == ["the run of 'poll' was killed: first"]


async def test_a_nudge_reaches_the_work_and_the_listeners(run_for: RunFor, events: RecordingListener) -> None:
    """Work may act on it; the next attempt begins without any."""
    heard: list[tuple[str, ...]] = []

    async def work(run: Run) -> None:
        heard.append(run.nudges)
        for _second in range(17):
            await anyio.sleep(1)
        heard.append(run.nudges)
        if run.attempt == 1:
            raise ConnectionError

    asked = Ladder(Nudge("still there?"), Nudge("hurry"), ExtendBy(100))
    await run_for(
        60, Task.once("job", work, stall=Critic(asked, expected=10, tick=5)), baseline=NODE_3_SERVICE_7,
        listeners=[events],
    )  # fmt: skip

    assert heard[:3] == [(), ("still there?", "hurry"), ()]
    assert [event.message for event in events.of(RunNudged)] == ["still there?", "hurry"]


async def test_progress_keeps_an_idle_critic_quiet_and_silence_does_not(run_for: RunFor) -> None:
    """Progress resets the silence, of this attempt; what the last one said is told."""
    asked = Asked(None)

    async def work(run: Run) -> None:
        for page in range(20):
            run.progress(f"page {page}")
            await anyio.sleep(4)
        await anyio.sleep(12)

    await run_for(120, Task.once("import", work, stall=Critic(asked, expected=1000, idle=5, tick=100)))

    assert [(round(info.elapsed), round(info.idle_for), info.note) for info in asked.told] == [(81, 5, "page 19")]


async def test_the_critic_of_one_run_touches_no_other(run_for: RunFor, events: RecordingListener) -> None:
    """One critic for twenty tasks of which one hangs."""
    stall, hangs = Critic(Asked(Kill("stalled")), expected=10), Script(Hang())
    others = [Script(9.0) for _ in range(20)]

    await run_for(
        99, Task.every("hangs", 50, hangs, stall=stall),
        *[Task.every(f"other-{n}", 10, work, stall=stall) for n, work in enumerate(others)],
        baseline=Baseline(service=Policy(constant(1000))), listeners=[events],
    )  # fmt: skip

    assert {event.subject for event in events.of(RunStalled)} == {"hangs"}
    assert [work.calls for work in others] == [10] * 20


# -- the deadline ----------------------------------------------------------------------------------------------------


async def test_the_deadline_of_the_run_moves_with_an_extension_and_calls_inside_see_it(run_for: RunFor) -> None:
    """A wait of a retry that would not have fitted before fits now."""
    seen: list[float] = []
    begun = anyio.current_time()

    async def work(run: Run) -> None:
        seen.append(round(run.deadline - begun))
        inner = Script(ConnectionError())
        with pytest.raises(ConnectionError):
            await longrun.do(inner, retry.on(ConnectionError, 1, constant(50)))  # ends behind the deadline: not begun
        await anyio.sleep(11)
        seen.append(round(run.deadline - begun))
        with pytest.raises(ConnectionError):
            await longrun.do(inner, retry.on(ConnectionError, 1, constant(50)))
        seen.append(inner.calls)

    await run_for(99, Task.once("job", work, stall=Critic(ExtendOnce(80), expected=10)))

    assert seen == [20, 90, 1 + 2]


async def test_no_extension_passes_the_ceiling(run_for: RunFor, events: RecordingListener) -> None:
    """An escalator that always extends is told so by what took effect."""
    work = Script(Hang(), "ok")
    stall = Critic(Asked(ExtendBy(25)), expected=10, ceiling=60, tick=10)
    begun = anyio.current_time()

    await run_for(80, Task.once("job", work, stall=stall), baseline=NODE_3_SERVICE_7, listeners=[events])

    assert [round(event.deadline - begun) for event in events.of(RunExtended)] == [35, 45, 55, 60]
    assert instants(work, begun) == [0, 67]


async def test_the_task_s_own_timeout_is_not_extended(run_for: RunFor, events: RecordingListener) -> None:
    """It is a limit, whatever a critic thinks; it counts as NODE."""
    work, begun = Script(Hang(), "ok"), anyio.current_time()
    task = Task.once("job", work, timeout=15, stall=Critic(ExtendOnce(100), expected=10))

    await run_for(60, task, baseline=NODE_3_SERVICE_7, listeners=[events])

    assert instants(work, begun) == [0, 18]
    assert [event.category for event in events.of(AttemptFailed)] == [Category.NODE]
