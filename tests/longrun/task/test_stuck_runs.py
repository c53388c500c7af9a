"""Runs that hang, and runs that ignore their end: seen, named, harming nobody, and well again when they end."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from longrun import Baseline, Limit, Policy, Runner, Task
from longrun.backoff import constant
from longrun.events import AttemptFailed, RunAbandoned, RunStuck, ShutdownStuck, TaskRemoved, TicksSkipped
from longrun.task.flight import GRACE
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]

BASELINE = Baseline(node=Policy(constant(3)), service=Policy(constant(7)), degraded=Policy(constant(11)))


def deaf_for(seconds: float, *then: float) -> Callable[[], Awaitable[None]]:
    """Work that does not hear its cancellation for so long; later calls take as long as *then* says, and hear it."""
    steps = [seconds, *then]

    async def swallows_its_cancellation() -> None:
        first, length = len(steps) == 1 + len(then), steps.pop(0) if len(steps) > 1 else steps[0]
        with anyio.CancelScope(shield=first):
            await anyio.sleep(length)

    return swallows_its_cancellation


async def test_a_run_that_hangs_on_a_limit_is_ended_and_is_never_stuck(going: Going, events: RecordingListener) -> None:
    """It hears its cancellation: a failed attempt, retried."""
    async with going(Task.every("poll", 100, Script(Hang(), "ok"), timeout=10), baseline=BASELINE, listeners=[events]):
        await anyio.sleep(50)

    assert [event.name for event in events.events if event.name.startswith(("run.", "attempt."))] == [
        "attempt.started", "attempt.failed", "attempt.started", "attempt.succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize("ended_by", ["timeout", "kill", "remove"])
async def test_a_run_that_ignores_its_end_is_stuck_and_named_with_its_stack(
    ended_by: str, going: Going, events: RecordingListener
) -> None:
    """Five seconds after it was to end, whoever ended it; once."""
    task = Task.every("poll", 1000, deaf_for(100, 0.0), timeout=10 if ended_by == "timeout" else None)

    async with going(task, baseline=BASELINE, listeners=[events]) as runner:
        await anyio.sleep(10)
        if ended_by == "kill":
            runner.kill("poll", "hangs")
        if ended_by == "remove":
            runner.remove("poll")
        await anyio.sleep(GRACE - 0.1)
        before = runner.state()["poll"].stuck, runner.statistics().stuck
        await anyio.sleep(0.2)
        after = runner.state()["poll"].stuck, runner.statistics().stuck
        await anyio.sleep(60)

    (stuck,) = events.of(RunStuck)
    assert (before, after) == ((False, 0), (True, 1))
    assert (stuck.subject, round(stuck.seconds, 1)) == ("poll", GRACE)
    assert "in swallows_its_cancellation" in stuck.stack
    assert "await anyio.sleep(length)" in stuck.stack


async def test_the_slot_of_a_stuck_run_is_given_to_others(going: Going) -> None:
    """One slot: the others run while it is stuck, one at a time; when it ends after all, it has its result."""
    inside = most = 0
    starts: list[float] = []
    begun = anyio.current_time()

    async def work() -> None:
        nonlocal inside, most
        starts.append(round(anyio.current_time() - begun))
        inside += 1
        most = max(most, inside)
        await anyio.sleep(8)
        inside -= 1

    async with going(
        Task.every("stuck", 1000, deaf_for(60), timeout=10),
        Task.every("a", 20, work, delay=1),
        Task.every("b", 20, work, delay=2),
        baseline=Baseline(node=Policy(constant(5000))),
        max_running=1,
    ) as runner:
        await anyio.sleep(14)
        assert (runner.statistics().running, runner.statistics().queued, starts) == (1, 2, [])
        await anyio.sleep(2)
        assert (runner.statistics().running, runner.statistics().stuck) == (2, 1)
        await anyio.sleep(84)
        counts = runner.statistics()

    assert starts[0] == 15
    assert most == 1
    assert len(starts) >= 8
    assert (counts.stuck, counts.queued, counts.timed_out) == (0, 0, 0)


async def test_a_stuck_run_recovers_when_it_ends(going: Going, events: RecordingListener) -> None:
    """It was killed and kept its result; the task goes on with its grid, the points in between are counted."""
    begun = anyio.current_time()
    starts: list[float] = []
    inner = deaf_for(35, 0.0)

    async def work() -> None:
        starts.append(round(anyio.current_time() - begun))
        await inner()

    async with going(Task.every("poll", 10, work, timeout=6), baseline=BASELINE, listeners=[events]) as runner:
        await anyio.sleep(34)
        during = runner.state()["poll"]
        await anyio.sleep(20)
        after, counts = runner.state()["poll"], runner.statistics()

    assert (during.phase, during.stuck, during.late) == ("running", True, True)
    assert (after.stuck, after.late, after.runs) == (False, False, 3)
    assert starts == [0, 40, 50]
    assert [event.count for event in events.of(TicksSkipped)] == [3]
    assert (counts.stuck, counts.running) == (0, 0)


async def test_a_stuck_run_that_fails_in_the_end_is_retried(going: Going, events: RecordingListener) -> None:
    """Killed, deaf, and then torn: the kill is what it failed with."""
    calls: list[float] = []
    begun = anyio.current_time()

    async def work() -> None:
        calls.append(round(anyio.current_time() - begun))
        if len(calls) == 1:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(30)
            raise ConnectionError("reset")

    async with going(Task.every("poll", 100, work), baseline=BASELINE, listeners=[events]) as runner:
        await anyio.sleep(5)
        runner.kill("poll", "hangs")
        await anyio.sleep(50)

    (failed,) = events.of(AttemptFailed)
    assert calls == [0, 37]
    assert str(failed.error) == "the run of 'poll' was killed: hangs"
    assert isinstance(failed.error.__cause__, ConnectionError)


async def test_a_stuck_run_keeps_its_place_in_its_limits(going: Going) -> None:
    """Its slot is ours to give; what it does to its upstream goes on, and that is what the limit is for."""
    limit, next_, begun = Limit("upstream", 1), Script("ok"), anyio.current_time()

    async with going(
        Task.once("stuck", deaf_for(60), timeout=10, limits=[limit]),
        Task.once("next", next_, limits=[limit], delay=1),
        baseline=Baseline(node=Policy(constant(5000))),
        max_running=1,
    ) as runner:
        await anyio.sleep(30)
        assert (runner.statistics().stuck, limit.used, limit.waiting) == (1, 1, 1)
        await anyio.sleep(40)

    assert next_.started[0] - begun == pytest.approx(60, abs=0.1)
    assert limit.used == 0


async def test_a_removed_task_that_is_stuck_is_gone_when_it_has_ended(going: Going, events: RecordingListener) -> None:
    """Not before: its name is taken as long as it runs."""
    async with going(Task.every("poll", 10, deaf_for(50)), listeners=[events]) as runner:
        await anyio.sleep(5)
        runner.remove("poll")
        await anyio.sleep(40)
        during = "poll" in runner, len(events.of(TaskRemoved)), runner.state()["poll"].stuck
        await anyio.sleep(10)
        after = "poll" in runner, len(events.of(TaskRemoved)), runner.statistics().stuck

    assert during == (True, 0, True)
    assert after == (False, 1, 0)


async def test_at_shutdown_stuck_runs_are_abandoned_by_name(events: RecordingListener) -> None:
    """Like any other that ignores its cancellation; run() waits for it and says so."""
    runner, closed, begun = Runner(shutdown_timeout=30, listeners=[events], baseline=BASELINE), [], anyio.current_time()

    async def close() -> None:
        closed.append(round(anyio.current_time() - begun))

    runner.add(Task.every("stuck", 10, deaf_for(200), timeout=5, shutdown=close))
    runner.add(Task.every("fine", 10, Script("ok")))

    async with anyio.create_task_group() as tg:

        async def stop() -> None:
            await anyio.sleep(50)
            runner.stop("deploy")

        tg.start_soon(stop)
        outcome = await runner.run()

    assert outcome.abandoned == ("stuck",)
    assert [event.subject for event in events.of(RunStuck)] == ["stuck"]
    assert [event.subject for event in events.of(RunAbandoned)] == ["stuck"]
    assert [event.tasks for event in events.of(ShutdownStuck)] == [("stuck",)]
    assert closed == [50 + 21 + 3]
    assert anyio.current_time() - begun == pytest.approx(200)
