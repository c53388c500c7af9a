"""Escalators that fail, answer late or hang; kills by operators, and kills that race with a result."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

from longrun import (
    Baseline,
    Category,
    Critic,
    Decision,
    ExtendBy,
    Kill,
    Nudge,
    Outcome,
    Policy,
    Run,
    RunInfo,
    RunKilled,
    Runner,
    Task,
)  # fmt: skip
from longrun.backoff import constant
from longrun.events import (
    AttemptFailed,
    AttemptStarted,
    EscalatorFailed,
    KillOrdered,
    RunExtended,
    RunNudged,
    ShutdownStuck,
)  # fmt: skip
from longrun.testing import Hang, RecordingListener, Script
from tests.longrun.task.asking import NODE_3_SERVICE_7, Asked, instants

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]
RunFor = Callable[..., Awaitable[Outcome]]

# -- who watches the escalator -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raises", "hangs", "deaf"])
async def test_an_escalator_that_fails_leaves_the_run_its_deadline(
    how: str, run_for: RunFor, events: RecordingListener
) -> None:
    """Raising, hanging, ignoring its cancellation: the backstop does not need it."""

    async def escalator(info: RunInfo) -> Decision | None:
        if how == "raises":
            raise OSError("pager is down")
        with anyio.CancelScope(shield=how == "deaf"):
            await anyio.sleep(35)
        return ExtendBy(1000)

    work, begun = Script(Hang(), "ok"), anyio.current_time()
    stall = Critic(escalator, expected=10, consult_timeout=2)

    await run_for(60, Task.every("poll", 100, work, stall=stall), baseline=NODE_3_SERVICE_7, listeners=[events])

    assert instants(work, begun) == [0, 27]
    failures = {"raises": 3, "hangs": 3, "deaf": 0}
    assert len(events.of(EscalatorFailed)) == failures[how]
    assert [(event.attempt, event.run) for event in events.of(AttemptStarted)][1][0] == 2


async def test_a_run_that_ends_while_it_is_asked_about_has_ended(going: Going, events: RecordingListener) -> None:
    """The answer comes too late, and reaches no other run."""
    asked = Asked(Kill("too slow") | Nudge("x"), takes=4)
    work, begun = Script(11.0, 0.0), anyio.current_time()

    async with going(
        Task.every("poll", 12, work, stall=Critic(asked, expected=10)), baseline=Baseline(), listeners=[events]
    ):
        await anyio.sleep(20)

    assert instants(work, begun) == [0, 12]
    assert events.of(KillOrdered) == events.of(AttemptFailed) == []
    assert len(asked.told) == 1


async def test_a_run_that_ends_in_the_instant_in_which_it_stalls_is_not_asked_about(
    going: Going, events: RecordingListener
) -> None:
    """Or if it is, that harms nobody: not the next attempt, whose deadline is its own, and nothing is remembered."""
    asked, deadlines = Asked(ExtendBy(1000), takes=3), []
    begun = anyio.current_time()

    async def work(run: Run) -> None:
        if run.attempt == 1:
            await anyio.sleep_until(begun + 10)
            raise ConnectionError
        deadlines.append(run.deadline - anyio.current_time())
        await anyio.sleep(5)
        deadlines.append(run.deadline - anyio.current_time() + 5)

    async with going(
        Task.every("poll", 100, work, stall=Critic(asked, expected=10)),
        baseline=Baseline(node=Policy(constant(1))), listeners=[events],
    ):  # fmt: skip
        await anyio.sleep(50)

    assert deadlines == pytest.approx([20, 20])
    assert events.of(RunExtended) == []
    assert asked.told == []


async def test_an_attempt_that_is_ended_for_another_reason_is_not_extended_any_more(
    run_for: RunFor, events: RecordingListener
) -> None:
    """Timed out, and cleaning up, while its escalator makes up its mind: told is what took effect."""
    asked = Asked(ExtendBy(1000) | Nudge("go on"), takes=4)

    async def slow_to_end() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(4.5)

    task = Task.every("poll", 100, slow_to_end, timeout=12, stall=Critic(asked, expected=10))
    await run_for(30, task, baseline=Baseline(node=Policy(constant(1000))), listeners=[events])

    assert len(asked.told) == 1
    assert events.of(RunExtended) == []
    assert events.of(RunNudged) == []


async def test_a_runner_stops_while_an_escalator_hangs(going: Going) -> None:
    """Whoever is asked about a run that has ended is not waited for."""
    stall = Critic(Asked(takes=10_000), expected=10, consult_timeout=9_000, backstop=100)
    begun = anyio.current_time()

    async with going(Task.once("job", Script(Hang()), stall=stall)):
        await anyio.sleep(20)

    assert anyio.current_time() - begun == pytest.approx(20)


async def test_an_escalator_that_ignores_its_cancellation_is_waited_for_at_the_very_end(going: Going) -> None:
    """Nothing outlives the runner; the runs, and everything else, have ended long before."""
    work, begun = Script(Hang()), anyio.current_time()

    async def deaf(info: RunInfo) -> Decision | None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100)
        return ExtendBy(1000)

    closed: list[float] = []

    async def close() -> None:
        closed.append(anyio.current_time() - begun)

    async with going(Task.once("job", work, stall=Critic(deaf, expected=10, backstop=100), shutdown=close)):
        await anyio.sleep(20)

    assert closed == pytest.approx([20])
    assert anyio.current_time() - begun == pytest.approx(110)


async def test_an_escalator_that_ignores_its_cancellation_is_named(events: RecordingListener) -> None:
    """Who waits for the end of the runner learns for whom."""

    async def deaf(info: RunInfo) -> Decision | None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(100)
        return None

    runner = Runner(listeners=[events], shutdown_timeout=20)
    runner.add(Task.once("job", Script(Hang()), stall=Critic(deaf, expected=10, backstop=100)))
    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(20)
        runner.stop("enough", drain=0)

    (stuck,) = events.of(ShutdownStuck)
    assert stuck.tasks == ("critic of job",)


async def test_what_escalators_remember_is_forgotten_with_the_run(going: Going) -> None:
    """However it ends: by itself, removed in flight, between two attempts, or by the stop."""
    asked = Asked(None)

    async def fails_on_its_way_out() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ConnectionError

    async def fails_late() -> None:
        await anyio.sleep(3)
        raise ConnectionError

    works: dict[str, Any] = {
        "ends": Script(3.0), "removed": Script(Hang()), "failing": fails_on_its_way_out,
        "retrying": fails_late, "stopped": Script(Hang()), "torn": fails_on_its_way_out,
    }  # fmt: skip
    slow = {name: Critic(asked, expected=1, backstop=1000) for name in works}
    tasks = [Task.every(name, 1000, work, stall=slow[name]) for name, work in works.items()]

    async with going(*tasks, baseline=Baseline(node=Policy(constant(100)))) as runner:
        await anyio.sleep(10)
        for name in ("removed", "failing", "retrying"):
            runner.remove(name)
        await anyio.sleep(1)

    assert len(asked.forgotten) == len(set(asked.forgotten)) == len(works)
    assert {info.id for info in asked.told} <= set(asked.forgotten)


# -- an operator -------------------------------------------------------------------------------------------------------


async def test_a_run_that_never_stalled_need_not_be_forgotten(going: Going) -> None:
    """Nobody was asked about it."""
    asked = Asked(None)

    async with going(Task.every("poll", 5, Script("ok"), stall=Critic(asked, expected=1))):
        await anyio.sleep(20)

    assert asked.forgotten == []


async def test_an_operator_may_kill_a_run_that_nobody_watches(going: Going, events: RecordingListener) -> None:
    """It fails with RunKilled and the reason, and follows the baseline."""
    work, begun = Script(Hang(), "ok"), anyio.current_time()

    async with going(Task.every("poll", 100, work), baseline=NODE_3_SERVICE_7, listeners=[events]) as runner:
        await anyio.sleep(5)
        answers = [runner.kill("poll", "hangs"), runner.kill("poll", "again")]
        await anyio.sleep(20)
        counts = runner.statistics()

    assert answers == [True, False]
    assert instants(work, begun) == [0, 12]
    assert [(event.reason, event.by) for event in events.of(KillOrdered)] == [("hangs", "operator")]
    assert [str(event.error) for event in events.of(AttemptFailed)] == ["the run of 'poll' was killed: hangs"]
    assert counts.killed == 1


async def test_a_kill_that_comes_with_the_result_leaves_the_result(going: Going, events: RecordingListener) -> None:
    """Work that had its result before it noticed keeps it: killed or not, it is told once."""
    done: list[str] = []

    async def work() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(10)
        done.append("stored")

    async with going(Task.once("job", work), baseline=Baseline(), listeners=[events]) as runner:
        await anyio.sleep(5)
        assert runner.kill("job", "too slow") is True
        await anyio.sleep(6)
        state, counts = runner.state()["job"], runner.statistics()

    assert done == ["stored"]
    assert state.phase == "finished"
    assert events.of(AttemptFailed) == []
    assert (counts.killed, counts.succeeded) == (0, 1)


async def test_work_that_raises_on_being_killed_is_killed_with_its_error_as_the_cause(
    run_for: RunFor, events: RecordingListener
) -> None:
    """What was first stays first."""

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("torn")

    stall = Critic(Asked(Kill("silent")), expected=10)
    await run_for(15, Task.once("job", work, stall=stall), baseline=NODE_3_SERVICE_7, listeners=[events])

    (failed,) = events.of(AttemptFailed)
    assert isinstance(failed.error, RunKilled)
    assert isinstance(failed.error.__cause__, KeyError)
    assert failed.category is Category.SERVICE
