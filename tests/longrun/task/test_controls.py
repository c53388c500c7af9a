"""What an operator may ask of one task while the runner goes on: pause, resume, run now, kill, remove, add again."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

from longrun import Baseline, Policy, Run, Runner, RunnerError, Task, retry
from longrun.backoff import constant
from longrun.events import AttemptStarted, KillOrdered, TaskFailed, TaskRemoved, TicksSkipped
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]
Standing = Callable[..., AbstractAsyncContextManager[Runner]]

BASELINE = Baseline(node=Policy(constant(20)), degraded=None)
PHASES = ("waiting", "queued", "running", "retrying", "paused", "finished", "failed", "leaving")


def instants(work: Script, begun: float) -> list[float]:
    """When *work* was called, to the calendar's resolution."""
    return [round(at - begun, 1) for at in work.started]


async def deaf() -> None:
    """Work that takes 25 seconds to hear its cancellation."""
    with anyio.CancelScope(shield=True):
        await anyio.sleep(25)


@pytest.fixture
def standing(going: Going) -> Standing:
    """A runner whose task "job" stands in this phase at the instant 5."""
    jobs: dict[str, Task] = {
        "waiting": Task.every("job", 50, Script("ok")),
        "queued": Task.every("job", 50, Script("ok"), delay=1),
        "running": Task.every("job", 50, Script(10.0)),
        "retrying": Task.every("job", 50, Script(ConnectionError(), "ok")),
        "paused": Task.every("job", 50, Script("ok")),
        "finished": Task.once("job", Script("ok")),
        "failed": Task.once("job", Script(ValueError())),
        "leaving": Task.every("job", 50, deaf),
    }

    @asynccontextmanager
    async def standing(phase: str, **settings: Any) -> AsyncIterator[Runner]:
        tasks = [Task.once("hog", Script(30.0)), jobs[phase]] if phase == "queued" else [jobs[phase]]
        async with going(*tasks, baseline=BASELINE, max_running=1, **settings) as runner:
            await anyio.sleep(5)
            if phase == "paused":
                runner.pause("job", "before")
            if phase == "leaving":
                runner.remove("job")
            assert runner.state()["job"].phase == ("running" if phase == "leaving" else phase)
            yield runner

    return standing


#: What each order answers in each phase, and in which phase the task is then; True and False are answers.
ANSWERS: dict[str, dict[str, tuple[object, str | None]]] = {
    "pause": {
        "waiting": (True, "paused"), "queued": (True, "paused"), "running": (True, "running"),
        "retrying": (True, "paused"), "paused": (False, "paused"), "finished": (False, "finished"),
        "failed": (False, "failed"), "leaving": (True, "running"),
    },
    "resume": {phase: (phase == "paused", "waiting" if phase == "paused" else phase) for phase in PHASES[:-1]}
    | {"leaving": (False, "running")},
    "kill": {phase: (phase == "running", phase) for phase in PHASES[:-1]} | {"leaving": (False, "running")},
    "trigger": {
        "waiting": (None, "waiting"), "queued": (None, "queued"), "running": (None, "running"),
        "retrying": (None, "retrying"), "paused": (None, "waiting"),
        "finished": ("it has finished", "finished"), "failed": ("it has failed", "failed"),
        "leaving": ("it is being removed", "running"),
    },
    "remove": {
        "waiting": (True, None), "queued": (True, None), "running": (True, "running"), "retrying": (True, None),
        "paused": (True, None), "finished": (False, None), "failed": (False, None), "leaving": (False, "running"),
    },
}  # fmt: skip

ORDERS: dict[str, Callable[[Runner], object]] = {
    "pause": lambda runner: runner.pause("job"),
    "resume": lambda runner: runner.resume("job"),
    "kill": lambda runner: runner.kill("job", "enough"),
    "trigger": lambda runner: runner.trigger("job"),
    "remove": lambda runner: runner.remove("job"),
}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("order", ORDERS)
async def test_every_order_has_its_answer_in_every_phase(order: str, phase: str, standing: Standing) -> None:
    """What is done, what is too late, what is refused."""
    expected, after = ANSWERS[order][phase]

    async with standing(phase) as runner:
        if isinstance(expected, str):
            with pytest.raises(RunnerError, match=f"task 'job' cannot be run now: {expected}"):
                ORDERS[order](runner)
        else:
            assert ORDERS[order](runner) is expected
        found = runner.state().get("job")

    assert (found.phase if found is not None else None) == after


@pytest.mark.parametrize("phase", PHASES)
async def test_a_name_can_be_given_again_when_its_task_is_over(phase: str, standing: Standing) -> None:
    """Hot add: while one of that name lives, or is on its way out, there is no second."""
    again = Script("ok")

    async with standing(phase) as runner:
        if phase in ("finished", "failed"):
            runner.add(Task.once("job", again))
        else:
            with pytest.raises(RunnerError, match="task 'job' is already in this runner"):
                runner.add(Task.once("job", again))
            runner.remove("job")
            if phase in ("running", "leaving"):
                with pytest.raises(RunnerError, match="task 'job' is already in this runner"):
                    runner.add(Task.once("job", again))
                await anyio.sleep(30)
            runner.add(Task.once("job", again))
        await anyio.sleep(40)

    assert again.calls == 1


@pytest.mark.parametrize("phase", ["waiting", "queued", "running", "retrying", "paused", "leaving"])
async def test_a_task_that_is_removed_is_gone_whatever_it_did(
    phase: str, standing: Standing, events: RecordingListener
) -> None:
    """TaskRemoved once; nothing of it stays in any count."""
    async with standing(phase, listeners=[events]) as runner:
        runner.remove("job")
        await anyio.sleep(100)
        counts = runner.statistics()
        left = list(runner)

    assert [event.subject for event in events.of(TaskRemoved)] == ["job"]
    assert "job" not in left
    assert (counts.tasks, counts.running, counts.queued, counts.stuck) == (0, 0, 0, 0)


# -- pause and resume ------------------------------------------------------------------------------------------------


async def test_a_paused_task_does_not_run_and_goes_on_with_its_grid(going: Going, events: RecordingListener) -> None:
    """The points that passed meanwhile are counted, with their reason; the grid keeps its phase."""
    work, begun = Script("ok"), anyio.current_time()

    async with going(Task.every("poll", 10, work), listeners=[events]) as runner:
        await anyio.sleep(5)
        runner.pause("poll", "by hand")
        assert runner.state()["poll"].paused == "by hand"
        assert runner.state()["poll"].next_due is None
        await anyio.sleep(32)
        runner.resume("poll")
        assert runner.state()["poll"].paused is None
        assert runner.state()["poll"].next_due == pytest.approx(begun + 40)
        await anyio.sleep(14)
        state, counts = runner.state()["poll"], runner.statistics()

    assert instants(work, begun) == [0, 40, 50]
    assert [(event.count, event.reason) for event in events.of(TicksSkipped)] == [(3, "the task was paused")]
    assert state.skipped == 3
    assert counts.skipped == {"the task was paused": 3}


async def test_a_pause_that_ends_before_the_next_point_costs_nothing(going: Going, events: RecordingListener) -> None:
    """Nothing was missed."""
    work, begun = Script("ok"), anyio.current_time()

    async with going(Task.every("poll", 10, work), listeners=[events]) as runner:
        await anyio.sleep(3)
        runner.pause("poll")
        await anyio.sleep(3)
        runner.resume("poll")
        await anyio.sleep(5)

    assert instants(work, begun) == [0, 10]
    assert events.of(TicksSkipped) == []


async def test_the_first_reason_of_a_pause_stays(going: Going) -> None:
    """Who comes second learns that it was paused."""
    async with going(Task.every("poll", 10, Script("ok"))) as runner:
        answers = [runner.pause("poll", "first"), runner.pause("poll", "second")]
        said = runner.state()["poll"].paused

    assert (answers, said) == ([True, False], "first")


async def test_a_run_in_flight_ends_by_itself_and_then_its_task_is_paused(going: Going) -> None:
    """Nothing is cut off; a resume before its end leaves no trace."""
    paused, resumed, begun = Script(10.0), Script(10.0), anyio.current_time()

    async with going(Task.every("a", 15, paused), Task.every("b", 15, resumed)) as runner:
        await anyio.sleep(5)
        runner.pause("a")
        runner.pause("b")
        runner.resume("b")
        await anyio.sleep(6)
        phases = [runner.state()[name].phase for name in ("a", "b")]
        await anyio.sleep(30)

    assert phases == ["paused", "waiting"]
    assert instants(paused, begun) == [0]
    assert instants(resumed, begun) == [0, 15, 30]


async def test_a_run_that_fails_during_a_pause_is_not_retried_before_it_is_resumed(
    going: Going, events: RecordingListener
) -> None:
    """Resumed in the middle of a retry it keeps its run and its attempt."""

    async def work(run: Run) -> None:
        await anyio.sleep(1)
        if run.attempt < 3:
            raise ConnectionError

    begun = anyio.current_time()
    async with going(Task.every("poll", 100, work), baseline=BASELINE, listeners=[events]) as runner:
        await anyio.sleep(0.5)
        runner.pause("poll")
        await anyio.sleep(49.5)
        during = runner.state()["poll"]
        runner.resume("poll")
        await anyio.sleep(45)
        after = runner.state()["poll"]

    starts = [(round(e.attempt), e.run) for e in events.of(AttemptStarted)]
    assert (during.phase, during.attempt, during.failures) == ("paused", 1, 1)
    assert [attempt for attempt, _run in starts] == [1, 2, 3]
    assert len({run for _attempt, run in starts}) == 1
    assert after.next_due == pytest.approx(begun + 100)
    assert after.skipped == 0


async def test_a_run_without_end_is_asked_to_come_to_one_by_a_pause(going: Going) -> None:
    """As by a stop: else it went on for ever in a task that is said to be paused. It begins anew when that is over."""
    begun, lives = anyio.current_time(), list[list[float]]()

    async def serve(run: Run) -> None:
        lives.append([anyio.current_time() - begun])
        while not run.stopping:  # noqa: ASYNC110 - a run is asked, it does not call
            await anyio.sleep(1)
        lives[-1].append(anyio.current_time() - begun)

    async with going(Task.every("serve", 5, serve)) as runner:
        await anyio.sleep(3.2)
        runner.pause("serve")
        await anyio.sleep(0.2)
        runner.resume("serve")  # before it has looked
        await anyio.sleep(4.1)
        runner.pause("serve")
        await anyio.sleep(20)
        phase = runner.state()["serve"].phase
        runner.resume("serve")
        await anyio.sleep(5)

    assert phase == "paused"
    assert lives == [pytest.approx([0, 8], abs=0.1), pytest.approx([30], abs=0.1)]


async def test_a_resume_takes_back_no_stop(going: Going) -> None:
    """A run that the whole runner has asked to come to an end is still asked."""
    asked = []

    async def serve(run: Run) -> None:
        await anyio.sleep(5)
        asked.append(run.stopping)

    async with going(Task.once("serve", serve), shutdown_timeout=100) as runner:
        await anyio.sleep(1)
        runner.pause("serve")
        runner.stop("deploy")
        runner.resume("serve")
        await anyio.sleep(10)

    assert asked == [True]


async def test_a_retry_that_is_triggered_during_a_pause_is_not_asked_to_end(going: Going) -> None:
    """It was wanted, pause or not."""
    asked = []

    async def work(run: Run) -> None:
        asked.append(run.stopping)
        await anyio.sleep(1)
        asked.append(run.stopping)
        if run.attempt < 3:
            raise ConnectionError

    async with going(Task.every("poll", 100, work), baseline=BASELINE) as runner:
        await anyio.sleep(0.5)
        runner.pause("poll")
        await anyio.sleep(5)
        for _ in range(2):
            runner.trigger("poll")
            await anyio.sleep(5)

    assert asked == [False, True, False, False, False, False]


async def test_a_task_paused_before_the_start_waits_for_its_resume(going: Going) -> None:
    """It runs at once then, if its time has come."""
    late, early, begun = Script("ok"), Script("ok"), anyio.current_time()
    runner = Runner(keep_open=True)
    runner.add(Task.every("late", 10, late))
    runner.add(Task.every("early", 10, early, delay=30))
    runner.pause("late")
    runner.pause("early")

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(14)
        runner.resume("late")
        runner.resume("early")
        await anyio.sleep(21)
        runner.stop("enough", drain=0)

    assert instants(late, begun) == [14, 20, 30]
    assert instants(early, begun) == [30]


async def test_a_task_that_ends_while_it_is_paused_is_not_paused_any_more(going: Going) -> None:
    """The last run in flight finishes it; there is nothing to resume."""
    async with going(Task.once("job", Script(5.0))) as runner:
        await anyio.sleep(1)
        runner.pause("job", "by hand")
        await anyio.sleep(10)
        state, resumed = runner.state()["job"], runner.resume("job")

    assert (state.phase, state.paused, resumed) == ("finished", None, False)


async def test_paused_and_resumed_ever_again_it_waits_for_a_slot_once(going: Going) -> None:
    """A queue that grew with each resume would serve one task many times over."""
    work, begun = Script("ok"), anyio.current_time()

    async with going(Task.once("hog", Script(10.0)), Task.every("poll", 20, work, delay=1), max_running=1) as runner:
        await anyio.sleep(2)
        for _ in range(50):
            runner.pause("poll")
            await anyio.sleep(0.02)
            assert runner.statistics().queued == 0
            runner.resume("poll")
            await anyio.sleep(0.02)
            assert runner.statistics().queued == 1
        queued = len(runner._dispatcher._queue)
        await anyio.sleep(30)

    assert queued == 1
    assert instants(work, begun)[0] == 10


# -- names and ends --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ORDERS)
async def test_an_unknown_name_is_refused_by_every_order(order: str, going: Going) -> None:
    """With the name."""
    async with going() as runner:
        with pytest.raises(RunnerError, match="there is no task 'job' in this runner"):
            ORDERS[order](runner)


async def test_after_a_stop_nothing_new_is_begun(going: Going, events: RecordingListener) -> None:
    """Adding and running now are refused with the reason; what still runs can be killed, or removed."""
    async with going(
        Task.every("a", 10, Script(60.0)), Task.every("b", 10, Script(60.0)), Task.every("c", 100, Script("ok")),
        shutdown_timeout=100, listeners=[events],
    ) as runner:  # fmt: skip
        await anyio.sleep(5)
        runner.stop("deploy")
        with pytest.raises(RunnerError, match=r"task 'new' comes too late: the runner stops \(deploy\)"):
            runner.add(Task.once("new", Script("ok")))
        with pytest.raises(RunnerError, match="task 'a' cannot be run now: the runner stops"):
            runner.trigger("a")
        answers = [
            runner.pause("c"), runner.resume("c"), runner.remove("c"), runner.kill("a", "now"), runner.remove("b"),
        ]  # fmt: skip
        await anyio.sleep(1)
        left = runner.statistics()

    assert answers == [False, False, False, True, True]
    assert (left.tasks, left.running) == (0, 0)
    assert [(event.reason, event.by) for event in events.of(KillOrdered)] == [("now", "operator")]


@pytest.mark.parametrize("raises", [OSError("cannot close"), ValueError("torn")])
async def test_a_removed_task_that_fails_on_its_way_out_stops_nobody(raises: Exception) -> None:
    """Whoever takes a task out does not want to hear that it has failed."""
    events, other = RecordingListener(), Script("ok")
    runner = Runner(listeners=[events])

    async def fails_when_cancelled() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise raises

    runner.add(Task.every("job", 10, fails_when_cancelled))
    runner.add(Task.every("other", 10, other))
    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(5)
        runner.remove("job")
        await anyio.sleep(30)
        stopped = runner.stop("the test is over", drain=0)

    assert stopped == "the test is over"
    assert other.calls == 4
    assert [event.subject for event in events.of(TaskRemoved)] == ["job"]
    assert events.of(TaskFailed) == []


async def test_a_name_is_as_new_when_it_is_added_again(going: Going) -> None:
    """No pause, no failures and no counts of the one before."""
    hung, again = Script(ConnectionError(), Hang()), Script("ok")
    rule = retry.on(ConnectionError, None, constant(1))

    async with going(Task.every("job", 10, hung, rule)) as runner:
        await anyio.sleep(5)
        runner.pause("job")
        runner.remove("job")
        await anyio.sleep(1)
        runner.add(Task.every("job", 10, again))
        await anyio.sleep(1)
        state = runner.state()["job"]

    assert (state.runs, state.failures, state.paused, state.last_error) == (1, 0, None, None)
