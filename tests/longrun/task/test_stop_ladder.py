"""Stopping a runner: drain, cancel, abandon; the first reason stays."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from longrun import Baseline, Outcome, Policy, Run, Runner, RunnerError, Task, Terms
from longrun.backoff import constant
from longrun.events import AttemptCancelled, RunAbandoned, RunsCancelled, ShutdownStuck, StopRequested, TaskFailed
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio


async def stubborn(seconds: float) -> None:
    """Work that does not hear its cancellation."""
    with anyio.CancelScope(shield=True):
        await anyio.sleep(seconds)


async def running(runner: Runner, then: Callable[[], Awaitable[object]]) -> tuple[Outcome, float]:
    """The outcome of *runner* while *then* happens beside it, and the instant of its end."""
    async with anyio.create_task_group() as tg:
        tg.start_soon(then)
        outcome = await runner.run()
        return outcome, anyio.current_time()
    raise AssertionError("a runner returns")


def stop_after(
    runner: Runner, seconds: float, reason: str = "told to", **settings: Any
) -> Callable[[], Awaitable[None]]:
    async def stop() -> None:
        await anyio.sleep(seconds)
        runner.stop(reason, **settings)

    return stop


async def test_runs_in_flight_may_end_by_themselves() -> None:
    """Draining: nothing new starts, what runs gets its time."""
    runner, work, begun = Runner(shutdown_timeout=100), Script(30.0), anyio.current_time()
    runner.add(Task.every("poll", 40, work))

    outcome, ended = await running(runner, stop_after(runner, 10))

    assert (outcome.status, outcome.reason, outcome.abandoned) == ("stopped", "told to", ())
    assert ended - begun == pytest.approx(30)
    assert work.calls == 1
    assert runner.state()["poll"].runs == 1


async def test_a_run_that_outlives_the_drain_is_cancelled(events: RecordingListener) -> None:
    """It learns so at seven tenths of the time, is no failure, and is told as cut off."""
    runner, begun = Runner(shutdown_timeout=100, listeners=[events]), anyio.current_time()
    runner.add(Task.once("job", Script(Hang())))

    outcome, ended = await running(runner, stop_after(runner, 10))

    assert (outcome.status, outcome.failures, outcome.abandoned) == ("stopped", (), ())
    assert ended - begun == pytest.approx(80)
    assert [event.drain for event in events.of(StopRequested)] == [70.0]
    assert [event.tasks for event in events.of(RunsCancelled)] == [("job",)]
    assert [event.subject for event in events.of(AttemptCancelled)] == ["job"]


async def test_a_run_that_ignores_its_cancellation_is_abandoned_by_name_and_stack(events: RecordingListener) -> None:
    """Hooks run meanwhile; run() stays pending, says so, and returns when the run ends after all."""
    closed: list[float] = []

    async def close() -> None:
        closed.append(anyio.current_time())

    runner, begun = Runner(shutdown_timeout=30, listeners=[events]), anyio.current_time()
    runner.add(Task.once("deaf", lambda: stubborn(500), shutdown=close))

    outcome, ended = await running(runner, stop_after(runner, 10))

    abandoned = events.of(RunAbandoned)
    assert outcome.abandoned == ("deaf",)
    assert [event.subject for event in abandoned] == ["deaf"]
    assert "stubborn" in abandoned[0].stack
    assert "anyio.sleep(seconds)" in abandoned[0].stack
    assert closed == pytest.approx([begun + 10 + 21 + 3])
    assert [event.tasks for event in events.of(ShutdownStuck)] == [("deaf",)]
    assert ended - begun == pytest.approx(500)


async def test_what_waits_is_never_started_after_a_stop() -> None:
    """Neither the first run, nor a retry, nor what stands in the queue."""
    delayed, failing, queued = Script("ok"), Script(ConnectionError()), Script("ok")
    runner = Runner(baseline=Baseline(node=Policy(constant(15))), max_running=1)
    runner.add(Task.once("delayed", delayed, delay=20))
    runner.add(Task.once("failing", failing))
    runner.add(Task.once("hog", Script(15.0), delay=1))
    runner.add(Task.once("queued", queued, delay=2))

    outcome, _ended = await running(runner, stop_after(runner, 10))

    assert outcome.status == "stopped"
    assert (delayed.calls, failing.calls, queued.calls) == (0, 1, 0)
    assert {name: state.phase for name, state in runner.state().items()} == {
        "delayed": "stopped", "failing": "stopped", "hog": "finished", "queued": "stopped",
    }  # fmt: skip


async def test_an_attempt_that_fails_while_draining_is_not_retried() -> None:
    """Its task stops with the others."""
    runner, calls = Runner(baseline=Baseline()), 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        await anyio.sleep(5)
        raise ConnectionError

    runner.add(Task.once("job", work))
    outcome, _ended = await running(runner, stop_after(runner, 2))

    assert calls == 1
    assert (outcome.status, outcome.failures) == ("stopped", ())


async def test_the_first_reason_stays_and_a_later_stop_only_shortens_the_drain() -> None:
    """Three stops: the shortest end counts, a longer one changes nothing."""
    runner, begun = Runner(shutdown_timeout=100), anyio.current_time()
    runner.add(Task.once("job", Script(Hang())))
    said: list[str] = []

    async def three_times() -> None:
        await anyio.sleep(10)
        said.append(runner.stop("first"))
        await anyio.sleep(5)
        said.append(runner.stop("second", drain=20))
        said.append(runner.stop("third", drain=90))

    outcome, ended = await running(runner, three_times)

    assert said == ["first", "first", "first"]
    assert outcome.reason == "first"
    assert ended - begun == pytest.approx(35)


async def test_a_drain_of_nothing_cancels_at_once() -> None:
    """A second signal does not wait."""
    runner, begun = Runner(shutdown_timeout=100), anyio.current_time()
    runner.add(Task.once("job", Script(Hang())))

    _outcome, ended = await running(runner, stop_after(runner, 10, drain=0))

    assert ended - begun == pytest.approx(10)


async def test_a_stop_before_the_start_runs_nothing_but_the_hooks() -> None:
    """The reason is kept; what was opened is closed."""
    closed, work = Script("ok"), Script("ok")
    runner = Runner()
    runner.add(Task.once("job", work, shutdown=closed))

    runner.stop("never mind")
    outcome = await runner.run()

    assert (outcome.status, outcome.reason) == ("stopped", "never mind")
    assert (work.calls, closed.calls) == (0, 1)


async def test_cancelling_run_from_outside_runs_the_hooks_and_goes_on_as_a_cancellation() -> None:
    """The scope that was cancelled gets its cancellation back, after everything is closed."""
    closed, work, runner = Script(0.5), Script(Hang()), Runner()
    runner.add(Task.once("job", work, shutdown=closed))
    begun = anyio.current_time()

    with anyio.move_on_after(10) as scope:
        await runner.run()

    assert scope.cancelled_caught
    assert closed.calls == 1
    assert anyio.current_time() - begun == pytest.approx(10.5)
    assert runner.state()["job"].phase == "stopped"


async def test_the_deadline_around_run_is_the_deadline_of_the_runs() -> None:
    """Work sees it, and no outcome pretends that everything passed."""
    seen: list[float] = []
    runner = Runner()

    async def work(run: Any) -> None:
        seen.append(run.deadline)
        await anyio.sleep_forever()

    runner.add(Task.once("job", work, timeout=1000))
    begun = anyio.current_time()

    with pytest.raises(TimeoutError), anyio.fail_after(10):
        await runner.run()

    assert seen == pytest.approx([begun + 10])


async def test_a_runner_in_a_cancelled_scope_starts_nothing() -> None:
    """Pre-cancelled: hooks, then the cancellation."""
    closed, work, runner = Script("ok"), Script("ok"), Runner()
    runner.add(Task.once("job", work, shutdown=closed))

    with anyio.CancelScope() as scope:
        scope.cancel()
        await runner.run()

    assert scope.cancelled_caught
    assert (work.calls, closed.calls) == (0, 1)


# -- a failure for good ----------------------------------------------------------------------------------------------


async def test_a_task_that_fails_for_good_stops_the_others() -> None:
    """At once by default; what still ran is no failure."""
    runner, other, failure = Runner(), Script(Hang()), ValueError("bad token")
    runner.add(Task.once("broken", Script(failure), delay=3))
    runner.add(Task.once("other", other))

    outcome = await runner.run()

    assert outcome.status == "failed"
    assert outcome.reason == "broken failed: no rule retries ValueError"
    assert [(found.task, found.error) for found in outcome.failures] == [("broken", failure)]


async def test_the_others_get_their_time_to_settle_and_all_failures_are_reported() -> None:
    """Two preflights fail within it: both are named, in one group."""
    runner, begun = Runner(settle=5), anyio.current_time()

    async def slow_failure() -> None:
        await anyio.sleep(6)
        raise KeyError("second")

    runner.add(Task.once("first", Script(ValueError("first")), delay=3))
    runner.add(Task.once("second", slow_failure))
    runner.add(Task.once("third", Script(Hang())))

    outcome = await runner.run()

    assert [failure.task for failure in outcome.failures] == ["first", "second"]
    assert anyio.current_time() - begun == pytest.approx(8)
    with pytest.raises(ExceptionGroup, match="2 failed: first, second") as caught:
        outcome.raise_if_failed()
    assert [type(error) for error in caught.value.exceptions] == [ValueError, KeyError]


async def test_isolated_a_failure_ends_only_its_own_task(events: RecordingListener) -> None:
    """The others go on; the outcome is failed all the same."""
    runner, other = Runner(on_permanent="isolate", listeners=[events]), Script("ok")
    runner.add(Task.once("broken", Script(ValueError())))
    runner.add(Task.every("other", 5, other))

    outcome, _ended = await running(runner, stop_after(runner, 22))

    assert other.calls == 5
    assert (outcome.status, outcome.reason) == ("failed", "told to")
    assert [event.subject for event in events.of(TaskFailed)] == ["broken"]


async def test_an_outcome_without_failures_raises_nothing() -> None:
    """raise_if_failed is for failures."""
    outcome = await Runner().run()

    outcome.raise_if_failed()

    assert outcome == Outcome("finished")


async def test_removing_a_task_that_was_just_given_a_slot_still_cancels_it() -> None:
    """Between being started and getting its first word in, it can be taken out."""
    runner, begun = Runner(), anyio.current_time()
    other: dict[str, str] = {"one": "two", "two": "one"}

    def work(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            if runner.state()[other[name]].phase == "running":
                runner.remove(other[name])
                return
            await anyio.sleep(1000)

        return run

    for name in other:
        runner.add(Task.once(name, work(name)))

    await runner.run()

    assert anyio.current_time() - begun < 1


async def test_a_task_that_comes_after_the_end_is_refused() -> None:
    """In a shutdown hook, and when run() has returned: it would never run."""
    runner, refused = Runner(), []

    async def hook() -> None:
        with pytest.raises(RunnerError, match="'late' comes too late") as caught:
            runner.add(Task.once("late", Script("ok")))
        refused.append(caught.value)

    runner.add(Task.once("job", Script("ok"), shutdown=hook))
    await runner.run()

    with pytest.raises(RunnerError, match="'later' comes too late"):
        runner.add(Task.once("later", Script("ok")))
    assert len(refused) == 1


async def test_a_task_that_comes_after_a_stop_is_refused_with_the_reason() -> None:
    """It would never run, and the caller learns why."""
    runner = Runner()
    runner.stop("deploy")

    with pytest.raises(RunnerError, match=r"comes too late: the runner stops \(deploy\)"):
        runner.add(Task.once("late", Script("ok")))


@pytest.mark.slow
async def test_a_hundred_thousand_tasks_stop_in_the_instant_they_are_told_to() -> None:
    """Those that run are drained and cancelled as ever, for the others nothing is waited and nothing is run."""
    count, slots = 100_000, 50
    ran: list[str] = []
    runner = Runner(max_running=slots)

    async def work(run: Run) -> None:
        ran.append(run.task)
        await anyio.sleep_forever()

    terms = Terms(interval=60.0, takes_run=True)
    for n in range(count):
        runner.add(Task(f"unit-{n}", work, terms))

    async def stop() -> None:
        await anyio.sleep(1)
        assert runner.statistics().queued == count - slots
        runner.stop("deploy", drain=2)

    outcome, ended = await running(runner, stop)

    left = runner.statistics()
    assert outcome.status == "stopped"
    assert ended == pytest.approx(3, abs=0.1)
    assert (len(ran), left.tasks, left.running, left.queued, left.cancelled) == (slots, 0, 0, 0, slots)
