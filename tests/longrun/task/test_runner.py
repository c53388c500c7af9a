"""The runner: outcomes, tasks added while it runs, contexts, events, foreign cancellation, exits."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

import longrun
from longrun import Baseline, Policy, Run, Runner, RunnerError, StrayCancellation, Task, retry, timeout
from longrun import events as longrun_events
from longrun.backoff import constant
from longrun.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    TaskFinished,
    TaskRemoved,
)
from longrun.testing import Hang, RecordingListener, Script, instant, run_virtual

pytestmark = pytest.mark.anyio


class Ends:
    """A listener that does not want to hear of starts."""

    starts = False

    def __init__(self) -> None:
        self.heard: list[type[Event]] = []

    def __call__(self, event: Event) -> None:
        self.heard.append(type(event))


@pytest.mark.parametrize("others", [True, False])
async def test_a_start_is_told_only_where_somebody_wants_to_hear_of_it(others: bool) -> None:
    """With nobody else the event is not made; an end is told either way."""
    ends, everything = Ends(), RecordingListener()
    runner = Runner(listeners=[ends, everything] if others else [ends])
    runner.add(Task.once("job", Script("ok")))

    await runner.run()

    started = [AttemptStarted] if others else []
    assert ends.heard == [*started, AttemptSucceeded, TaskFinished]
    assert [type(event) for event in everything.events] == (ends.heard if others else [])


async def test_an_empty_runner_is_finished() -> None:
    """Nothing to do is done."""
    assert (await Runner().run()).status == "finished"


async def test_one_shots_that_end_stop_nobody(events: RecordingListener) -> None:
    """The runner ends with the last of them."""
    runner, long, begun = Runner(listeners=[events]), Script(20.0), anyio.current_time()
    runner.add(Task.once("short", Script("ok")))
    runner.add(Task.once("long", long))

    outcome = await runner.run()

    assert (outcome.status, outcome.reason) == ("finished", None)
    assert anyio.current_time() - begun == pytest.approx(20)
    assert [event.subject for event in events.of(TaskFinished)] == ["short", "long"]


async def test_a_runner_that_is_kept_open_waits_for_its_tasks() -> None:
    """Without any task it goes on until it is stopped."""
    runner, work = Runner(keep_open=True), Script("ok")

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(100)
        runner.add(Task.once("late", work))
        await anyio.sleep(100)
        assert work.calls == 1
        runner.stop("enough")


async def test_a_runner_runs_once() -> None:
    """A second run says what to do instead."""
    runner = Runner()
    await runner.run()

    with pytest.raises(RunnerError, match="has run already; make a new one"):
        await runner.run()


async def test_names_are_unique_while_a_task_lives() -> None:
    """A name is free again when its task has ended."""
    runner, again = Runner(), Script("ok")
    runner.add(Task.once("job", Script("ok")))
    with pytest.raises(RunnerError, match="task 'job' is already in this runner"):
        runner.add(Task.once("job", Script("ok")))

    async def add_again() -> None:
        runner.add(Task.once("job", again))

    runner.add(Task.once("adds", add_again, delay=5))
    await runner.run()

    assert again.calls == 1


async def test_a_task_added_while_running_starts_at_once() -> None:
    """Its delay, phase and grid count from then."""
    runner, late, begun = Runner(), Script("ok"), anyio.current_time()

    async def add() -> None:
        await anyio.sleep(7.5)
        runner.add(Task.every("late", 10, late, delay=1))
        await anyio.sleep(30)
        runner.stop("enough", drain=0)

    runner.add(Task.once("adds", add))
    await runner.run()

    assert [at - begun for at in late.started] == pytest.approx([8.5, 18.5, 28.5], abs=0.006)


@pytest.mark.parametrize("when", ["waiting", "retrying", "running"])
async def test_a_removed_task_does_not_run_again(when: str, events: RecordingListener) -> None:
    """Wherever it stands; the others go on, and nothing is left of it."""
    works = {"waiting": Script("ok"), "retrying": Script(ConnectionError()), "running": Script(Hang())}
    runner, other = Runner(baseline=Baseline(node=Policy(constant(20))), listeners=[events]), Script("ok")
    runner.add(Task.every("job", 20, works[when]))
    runner.add(Task.every("other", 10, other))

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(5)
        assert runner.state()["job"].phase == when
        assert runner.remove("job") is True
        await anyio.sleep(100)
        with pytest.raises(RunnerError, match="no task 'job'"):
            runner.remove("job")
        runner.stop("enough", drain=0)

    assert works[when].calls == 1
    assert other.calls == 11
    assert "job" not in runner.state()
    assert [event.subject for event in events.of(TaskRemoved)] == ["job"]


async def test_work_that_takes_a_run_learns_about_itself() -> None:
    """One id over the attempts of a run, a new one for the next; attempts count from 1."""
    seen: list[tuple[str, int, float]] = []
    runner, begun = Runner(baseline=Baseline(node=Policy(constant(1)))), anyio.current_time()

    async def work(run: Run) -> None:
        run.progress(f"attempt {run.attempt}")
        seen.append((run.id, run.attempt, run.deadline - begun))
        assert run.last_progress == anyio.current_time()
        if len(seen) in (1, 2):
            raise ConnectionError
        if len(seen) == 4:
            runner.stop("seen enough", drain=0)

    runner.add(Task.every("poll", 10, work, timeout=4))
    await runner.run()

    assert [attempt for _id, attempt, _deadline in seen] == [1, 2, 3, 1]
    assert len({id_ for id_, _attempt, _deadline in seen[:3]}) == 1
    assert seen[3][0] != seen[0][0]
    assert [deadline for _id, _attempt, deadline in seen] == pytest.approx([4, 5, 6, 14], abs=0.01)


async def test_a_call_inside_a_run_sees_the_deadline_of_the_run() -> None:
    """A wait that would outlast the attempt is not begun: the original error comes out early."""
    inner, runner = Script(OSError("inner")), Runner()

    async def work() -> None:
        with anyio.CancelScope(shield=True):
            await longrun.do(inner, retry.on(OSError, 9, constant(4)))

    runner.add(Task.once("job", work, timeout=10))
    outcome = await runner.run()

    assert inner.calls == 3
    assert str(outcome.failures[0].error) == "inner"


async def test_options_of_a_task_wrap_each_attempt() -> None:
    """A timeout among them is the work's own, fresh for each attempt."""
    work, runner = Script(Hang(), "ok"), Runner(baseline=Baseline(node=Policy(constant(1))))
    runner.add(Task.once("job", work, timeout.after(3)))

    outcome = await runner.run()

    assert outcome.status == "finished"
    assert work.started[1] - work.started[0] == pytest.approx(4, abs=0.01)


user: ContextVar[str] = ContextVar("user", default="nobody")


async def test_what_a_run_sets_in_its_context_reaches_no_other_run() -> None:
    """Not the next attempt, not the next run, not another task, not one that it adds; the caller's context does."""
    seen: list[tuple[str, str]] = []
    runner = Runner(baseline=Baseline(node=Policy(constant(1))))

    def work(name: str, *, fails: bool = False) -> Callable[[], Any]:
        async def run() -> None:
            seen.append((name, user.get()))
            user.set(name)
            await anyio.sleep(0.1)
            if name == "adds" and len(seen) == 1:
                runner.add(Task.once("added", work("added")))
            if fails and len(seen) < 6:
                raise ConnectionError

        return run

    user.set("the caller")
    runner.add(Task.every("adds", 3, work("adds")))
    runner.add(Task.once("fails", work("fails", fails=True), delay=0.5))
    runner.add(Task.once("ends", Script(10.0)))

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(9)
        runner.stop("enough", drain=0)

    assert {name for name, _user in seen} == {"adds", "fails", "added"}
    assert {value for _name, value in seen} == {"the caller"}


async def test_every_attempt_has_exactly_one_start_and_one_end(events: RecordingListener) -> None:
    """Successes, failures, time-outs and cut off attempts, in any mix."""
    runner = Runner(baseline=Baseline(node=Policy(constant(1))), listeners=[events])
    runner.add(Task.every("mixed", 5, Script("ok", ConnectionError(), Hang(), "ok"), timeout=2))
    runner.add(Task.once("cut off", Script(Hang())))

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(31)
        runner.stop("enough", drain=0)

    starts = [(e.run, e.attempt) for e in events.of(AttemptStarted)]
    ends = [
        (e.run, e.attempt)
        for kind in (AttemptSucceeded, AttemptFailed, AttemptCancelled)
        for e in events.of(kind)
    ]  # fmt: skip
    assert len(starts) == len(set(starts)) > 5
    assert sorted(starts) == sorted(ends)
    assert len(events.of(AttemptCancelled)) == 1
    assert all(event.run is not None for event in events.of(AttemptStarted))


async def test_a_failing_listener_changes_nothing(events: RecordingListener, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; work and the other listeners go on."""

    def broken(event: Event) -> None:
        raise RuntimeError("disk full")

    runner = Runner(listeners=[broken, events])
    runner.add(Task.once("job", Script("ok")))

    outcome = await runner.run()

    assert outcome.status == "finished"
    assert [event.name for event in events.events] == ["attempt.started", "attempt.succeeded", "task.finished"]
    assert "disk full" in caplog.text


def test_a_cancellation_by_somebody_else_is_a_failure_and_ends_nothing_but_its_attempt() -> None:
    """On asyncio work may await a task that others cancelled: that is no cancellation of the run."""
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            foreign = asyncio.ensure_future(asyncio.sleep(100))
            foreign.cancel()
            await foreign

    async def main() -> tuple[longrun.Outcome, list[AttemptFailed]]:
        events = RecordingListener()
        runner = Runner(baseline=Baseline(degraded=Policy(constant(1))), listeners=[events])
        runner.add(Task.once("job", work))
        return await runner.run(), events.of(AttemptFailed)

    outcome, failed = run_virtual(main)

    assert outcome.status == "finished"
    assert calls == 2
    assert isinstance(failed[0].error, StrayCancellation)
    assert isinstance(failed[0].error.__cause__, asyncio.CancelledError)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("exit_", [KeyboardInterrupt, SystemExit])
def test_an_exit_raised_by_work_ends_the_runner_without_a_hang(backend: str, exit_: type[BaseException]) -> None:
    """It is no failure to be judged: it goes through, and takes everything with it."""

    async def main() -> None:
        runner = Runner(baseline=Baseline())
        runner.add(Task.every("poll", 1, Script(0.5)))
        runner.add(Task.once("exits", Script(exit_()), delay=3.2))
        await runner.run()

    with pytest.raises((exit_, BaseExceptionGroup)) as caught:
        run_virtual(main, backend=backend)

    found: BaseException = caught.value
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, exit_)


async def test_without_waits_the_decisions_are_the_same(events: RecordingListener) -> None:
    """instant() takes the time out of retries, and out of nothing else."""
    work, begun = Script(ConnectionError(), ConnectionError(), "ok"), anyio.current_time()
    runner = Runner(baseline=Baseline(node=Policy(constant(50))), listeners=[events])
    runner.add(Task.once("job", work))

    with instant():
        await runner.run()

    assert anyio.current_time() - begun < 1
    assert [event.wait for event in events.of(longrun_events.RetryScheduled)] == [50, 50]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"on_permanent": "ignore"}, "on_permanent is 'ignore'"),
        ({"max_running": 0}, "max_running is 0"),
        ({"max_running": True}, "max_running is True"),
        ({"max_running": 1.5}, "max_running is 1.5"),
        ({"shutdown_timeout": 0}, "shutdown_timeout is 0"),
        ({"settle": -1}, "settle is -1"),
        ({"resolution": 0}, "resolution is 0"),
        ({"resolution": float("nan")}, "resolution is nan"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], said: str) -> None:
    """By name and value."""
    with pytest.raises(ValueError, match=said):
        Runner(**settings)


async def test_a_runner_says_how_it_stands() -> None:
    """What an operator wants to see."""
    runner = Runner()
    runner.add(Task.once("job", Script("ok")))
    runner.add(Task.once("later", Script("ok"), delay=10))

    assert repr(runner) == "<Runner: 2 tasks, 0 running, 0 queued>"
    runner.stop("deploy")
    assert repr(runner) == "<Runner: 2 tasks, 0 running, 0 queued, stops: deploy>"
