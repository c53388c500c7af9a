"""Run now: a triggered run comes on top of the grid, never overlaps another, and uses up no point."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import anyio.lowlevel
import pytest

from longrun import Baseline, Gate, Policy, Run, Runner, Task, retry
from longrun.backoff import constant
from longrun.events import AttemptStarted, TicksSkipped
from longrun.testing import RecordingListener, Script

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]


def instants(work: Script, begun: float) -> list[float]:
    """When *work* was called, to the calendar's resolution."""
    return [round(at - begun, 1) for at in work.started]


async def test_a_triggered_run_keeps_the_grid_and_uses_up_no_point(going: Going, events: RecordingListener) -> None:
    """Between two points, twice between two points, and shortly before one."""
    work, begun = Script(0.1), anyio.current_time()

    async with going(Task.every("poll", 10, work), listeners=[events]) as runner:
        for at in (3, 6, 19.5):
            await anyio.sleep_until(begun + at)
            runner.trigger("poll")
        await anyio.sleep_until(begun + 31)

    assert instants(work, begun) == [0, 3, 6, 10, 19.5, 20, 30]
    assert events.of(TicksSkipped) == []


@pytest.mark.parametrize("splay", [0, 10])
async def test_a_task_that_has_not_begun_yet_keeps_its_delay(splay: float, going: Going) -> None:
    """The triggered run is one before the first."""
    work, begun = Script("ok"), anyio.current_time()
    task = Task.every("poll", 10, work, delay=100, splay=splay)
    first = round(task.place()[0], 1)

    async with going(task) as runner:
        await anyio.sleep(5)
        runner.trigger("poll")
        await anyio.sleep_until(begun + first + 0.5)

    assert instants(work, begun) == [5, first]


async def test_points_that_pass_during_a_triggered_run_are_counted(going: Going, events: RecordingListener) -> None:
    """20 and 30 pass while it runs; the first of them is no less missed than the second."""
    work, begun = Script(0.1, 0.1, 20.0, 0.1), anyio.current_time()

    async with going(Task.every("poll", 10, work), listeners=[events]) as runner:
        await anyio.sleep(15)
        runner.trigger("poll")
        await anyio.sleep(26)

    assert instants(work, begun) == [0, 10, 15, 40]
    assert [(e.count, e.reason) for e in events.of(TicksSkipped)] == [
        (2, "the run before took longer than the interval")
    ]


async def test_triggers_during_a_run_become_one_run_right_after_it(going: Going) -> None:
    """Runs never overlap; three orders are one."""
    work, begun = Script(4.0), anyio.current_time()

    async with going(Task.every("poll", 10, work)) as runner:
        for _ in range(3):
            await anyio.sleep(1)
            runner.trigger("poll")
        await anyio.sleep(12)

    assert instants(work, begun) == [0, 4, 10]


async def test_triggers_before_the_run_begins_become_one(going: Going) -> None:
    """Waiting for a slot, or just ordered."""
    work, begun = Script("ok"), anyio.current_time()

    async with going(Task.once("hog", Script(5.0)), Task.every("poll", 10, work, delay=8), max_running=1) as runner:
        await anyio.sleep(1)
        for _ in range(5):
            runner.trigger("poll")
        await anyio.sleep(1)
        runner.trigger("poll")
        await anyio.sleep(10)

    assert instants(work, begun) == [5, 8]


async def test_a_one_shot_that_is_triggered_in_its_run_has_done_its_work(going: Going) -> None:
    """It is finished when it has succeeded once; before its delay it can be had earlier."""
    running, delayed, begun = Script(5.0), Script("ok"), anyio.current_time()

    async with going(Task.once("running", running), Task.once("delayed", delayed, delay=50)) as runner:
        await anyio.sleep(1)
        runner.trigger("running")
        runner.trigger("delayed")
        await anyio.sleep(100)

    assert instants(running, begun) == [0]
    assert instants(delayed, begun) == [1]


async def test_a_wait_before_a_retry_is_cut_short(going: Going, events: RecordingListener) -> None:
    """The run goes on with its next attempt; the grid stays."""
    work, begun = Script(ConnectionError(), ConnectionError(), "ok"), anyio.current_time()
    rule = retry.on(ConnectionError, None, constant(30))

    async with going(Task.every("poll", 50, work, rule), listeners=[events]) as runner:
        await anyio.sleep(4)
        runner.trigger("poll")
        await anyio.sleep(70)

    assert instants(work, begun) == [0, 4, 34, 50]
    assert [event.attempt for event in events.of(AttemptStarted)] == [1, 2, 3, 1]


async def test_a_trigger_during_an_attempt_that_fails_is_its_retry_at_once(going: Going) -> None:
    """What was asked for is that the work is done again now, and that is what the retry does."""
    begun, attempts = anyio.current_time(), []

    async def work(run: Run) -> None:
        attempts.append((round(anyio.current_time() - begun, 1), run.attempt))
        await anyio.sleep(2)
        if len(attempts) < 3:
            raise ConnectionError

    async with going(Task.every("poll", 100, work, retry.on(ConnectionError, None, constant(30)))) as runner:
        await anyio.sleep(1)
        runner.trigger("poll")
        await anyio.sleep(90)

    assert attempts == [(0, 1), (2, 2), (34, 3)]


async def test_a_paused_task_runs_once_and_stays_paused(going: Going) -> None:
    """Also when that run fails: its retry waits for the resume."""
    fine, failing, begun = Script("ok"), Script("ok", ConnectionError(), "ok"), anyio.current_time()
    baseline = Baseline(node=Policy(constant(1)))

    async with going(Task.every("fine", 10, fine), Task.every("failing", 10, failing), baseline=baseline) as runner:
        await anyio.sleep(5)
        for name in ("fine", "failing"):
            runner.pause(name, "by hand")
            runner.trigger(name)
        await anyio.sleep(20)
        during = [runner.state()[name] for name in ("fine", "failing")]
        for name in ("fine", "failing"):
            runner.resume(name)
        await anyio.sleep(10)

    assert [(state.phase, state.paused, state.attempt) for state in during] == [
        ("paused", "by hand", 0), ("paused", "by hand", 1),
    ]  # fmt: skip
    assert instants(fine, begun) == [0, 5, 30]
    assert instants(failing, begun) == [0, 5, 25, 30]


async def test_a_triggered_task_that_is_paused_before_it_starts_loses_no_point(
    going: Going, events: RecordingListener
) -> None:
    """Resumed in time it runs as it was told; the point before it was not missed."""
    work, begun = Script("ok"), anyio.current_time()

    async with going(Task.every("poll", 10, work), listeners=[events]) as runner:
        await anyio.sleep(12)
        runner.trigger("poll")
        runner.pause("poll")
        await anyio.sleep(3)
        runner.resume("poll")
        await anyio.sleep(6)

    assert instants(work, begun) == [0, 10, 15, 20]
    assert events.of(TicksSkipped) == []


async def test_a_pause_after_a_trigger_holds_the_run_back_that_was_to_follow_the_one_in_flight(
    going: Going, events: RecordingListener
) -> None:
    """It comes with the resume, early or late, on top of the grid."""
    work, begun = Script(4.0), anyio.current_time()

    async with going(Task.every("poll", 100, work), listeners=[events]) as runner:
        await anyio.sleep(1)
        runner.trigger("poll")
        runner.pause("poll")
        await anyio.sleep(9)
        runner.resume("poll")
        await anyio.sleep_until(begun + 11)
        runner.trigger("poll")
        runner.pause("poll")
        runner.resume("poll")
        await anyio.sleep_until(begun + 101)

    assert instants(work, begun) == [0, 10, 14, 100]
    assert events.of(TicksSkipped) == []


async def test_a_pause_after_a_trigger_holds_back_what_has_not_begun_of_a_task_that_is_paused_already(
    going: Going,
) -> None:
    """Whether that is the next run or the one behind it; it comes at the resume."""
    work, begun = Script(4.0, 4.0, "ok"), anyio.current_time()

    async with going(Task.every("poll", 100, work, delay=50)) as runner:
        await anyio.lowlevel.checkpoint()
        runner.pause("poll")
        runner.trigger("poll")
        answers = [runner.pause("poll")]
        await anyio.sleep(5)
        runner.trigger("poll")
        await anyio.sleep(1)
        runner.trigger("poll")
        answers.append(runner.pause("poll"))
        await anyio.sleep(10)
        before = instants(work, begun)
        runner.resume("poll")
        await anyio.sleep(10)

    assert answers == [False, False]
    assert before == [5]
    assert instants(work, begun) == [5, 16]


@pytest.mark.parametrize("first", ["trigger", "pause"])
async def test_a_trigger_before_the_start_can_be_taken_back_by_a_pause(first: str) -> None:
    """Nothing begins before the resume."""
    work, begun = Script("ok"), anyio.current_time()
    runner = Runner(keep_open=True)
    runner.add(Task.every("poll", 100, work))
    if first == "pause":
        runner.pause("poll")
    runner.trigger("poll")
    runner.pause("poll")

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(7)
        runner.resume("poll")
        await anyio.sleep(5)
        runner.stop("enough", drain=0)

    assert instants(work, begun) == [7]


async def test_a_closed_gate_is_not_passed_by_a_trigger(going: Going) -> None:
    """The other side has asked for calm, whoever is in a hurry here."""

    class Busy(Exception):
        retry_after = 40.0

    gate, work, begun = Gate("token"), Script("ok"), anyio.current_time()

    async with going(
        Task.once("limited", Script(Busy(), "ok"), retry.on(Busy, 3, constant(1)), gate=gate),
        Task.every("poll", 100, work, gate=gate, delay=80),
    ) as runner:
        await anyio.sleep(5)
        runner.trigger("poll")
        await anyio.sleep(70)

    assert 40 <= instants(work, begun)[0] <= 44
    assert work.calls == 1


async def test_a_trigger_before_the_start_is_a_run_at_once() -> None:
    """The delay counts from the start all the same; nothing is late."""
    runner, work, paused, begun = Runner(keep_open=True), Script("ok"), Script("ok"), anyio.current_time()
    runner.add(Task.every("poll", 10, work, delay=20))
    runner.add(Task.every("paused", 10, paused, delay=20))
    runner.pause("paused")
    runner.trigger("poll")
    runner.trigger("paused")

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(31)
        state, counts = runner.state(), runner.statistics()
        runner.stop("enough", drain=0)

    assert instants(work, begun) == [0, 20, 30]
    assert instants(paused, begun) == [0]
    assert [state[name].skipped for name in ("poll", "paused")] == [0, 0]
    assert counts.latest < 1


async def test_with_a_fixed_delay_the_next_run_counts_from_the_end_of_the_triggered_one(going: Going) -> None:
    """There is no grid to keep."""
    work, begun = Script(1.0), anyio.current_time()

    async with going(Task.every("poll", 10, work, timing="fixed_delay")) as runner:
        await anyio.sleep(5)
        runner.trigger("poll")
        await anyio.sleep(12)

    assert instants(work, begun) == [0, 5, 16]
