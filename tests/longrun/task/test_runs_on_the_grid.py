"""When interval tasks run: tables for both timings, overruns, retries, late starts; every skipped point is counted."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import anyio
import pytest

from longrun import Outcome, Runner, Task, retry
from longrun.backoff import constant
from longrun.events import TicksSkipped
from longrun.testing import RecordingListener, Script

pytestmark = pytest.mark.anyio

RunFor = Callable[..., Awaitable[Outcome]]
Timing = Literal["fixed_rate", "fixed_delay"]
Missed = Literal["skip", "catch_up_one"]

FAST = 0.0
FAIL = "fail"

#: (what happens, timing, missed, steps, starts within 35.9 s at an interval of 5 s, skipped points)
TABLE: list[tuple[str, Timing, Missed, list[object], list[float], int]] = [
    ("nothing special", "fixed_rate", "skip", [FAST], [0, 5, 10, 15, 20, 25, 30, 35], 0),
    ("a run within the interval", "fixed_rate", "skip", [4.0], [0, 5, 10, 15, 20, 25, 30, 35], 0),
    ("a run as long as the interval", "fixed_rate", "skip", [5.0], [0, 10, 20, 30], 4),
    ("overrun", "fixed_rate", "skip", [FAST, 12.0, FAST], [0, 5, 20, 25, 30, 35], 2),
    ("overrun", "fixed_rate", "catch_up_one", [FAST, 12.0, FAST], [0, 5, 17, 20, 25, 30, 35], 1),
    ("every run overruns", "fixed_rate", "catch_up_one", [7.0], [0, 7, 14, 21, 28, 35], 2),
    ("slow first run", "fixed_rate", "skip", [12.0, FAST], [0, 15, 20, 25, 30, 35], 2),
    ("slow first run", "fixed_rate", "catch_up_one", [12.0, FAST], [0, 12, 15, 20, 25, 30, 35], 1),
    ("retry inside the tick", "fixed_rate", "skip", [FAST, FAIL, FAST], [0, 5, 7, 10, 15, 20, 25, 30, 35], 0),
    ("retry inside the tick", "fixed_rate", "catch_up_one", [FAST, FAIL, FAST], [0, 5, 7, 10, 15, 20, 25, 30, 35], 0),
    ("retries over the next points", "fixed_rate", "skip", [FAST, *[FAIL] * 4, FAST],
     [0, 5, 7, 9, 11, 13, 15, 20, 25, 30, 35], 1),
    ("retries over the next points", "fixed_rate", "catch_up_one", [FAST, *[FAIL] * 4, FAST],
     [0, 5, 7, 9, 11, 13, 13, 15, 20, 25, 30, 35], 0),
    ("nothing special", "fixed_delay", "skip", [FAST], [0, 5, 10, 15, 20, 25, 30, 35], 0),
    ("a run takes a second", "fixed_delay", "skip", [1.0], [0, 6, 12, 18, 24, 30], 0),
    ("overrun", "fixed_delay", "skip", [FAST, 12.0, FAST], [0, 5, 22, 27, 32], 0),
    ("slow first run", "fixed_delay", "catch_up_one", [12.0, FAST], [0, 17, 22, 27, 32], 0),
    ("retry inside the tick", "fixed_delay", "skip", [FAST, FAIL, FAST], [0, 5, 7, 12, 17, 22, 27, 32], 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("timing", "missed", "steps", "starts", "skipped"),
    [row[1:] for row in TABLE],
    ids=[f"{row[0]}-{row[1]}-{row[2]}" for row in TABLE],
)
async def test_runs_start_when_the_table_says(
    timing: Timing, missed: Missed, steps: list[object], starts: list[float], skipped: int,
    events: RecordingListener, run_for: RunFor,
) -> None:  # fmt: skip
    """First at once, then on the grid, which keeps its phase; what is skipped is counted."""
    work = Script(*steps)
    task = Task.every("poll", 5, work, retry.on(Exception, None, constant(2)), timing=timing, missed=missed)

    await run_for(35.9, task, listeners=[events])

    assert [round(at - work.started[0], 2) for at in work.started] == starts
    assert sum(event.count for event in events.of(TicksSkipped)) == skipped


@pytest.mark.parametrize("timing", ["fixed_rate", "fixed_delay"])
@pytest.mark.parametrize("missed", ["skip", "catch_up_one"])
async def test_runs_of_one_task_never_overlap(timing: Timing, missed: Missed, run_for: RunFor) -> None:
    """Whatever they take: runs of 0 to 3 intervals, failures between."""
    inside = most = count = 0

    async def work() -> None:
        nonlocal inside, most, count
        count += 1
        inside += 1
        most = max(most, inside)
        await anyio.sleep((count * 7) % 31 / 10)
        inside -= 1
        if count % 5 == 0:
            raise ValueError

    task = Task.every("poll", 1, work, retry.on(ValueError, None, constant(0.3)), timing=timing, missed=missed)
    await run_for(200, task)

    assert count > 50
    assert most == 1


async def test_a_delay_comes_once_before_the_first_run(run_for: RunFor) -> None:
    """Not before retries, and not before later runs."""
    work = Script(FAIL, FAST)
    begun = anyio.current_time()

    await run_for(30, Task.every("poll", 5, work, retry.on(Exception, 3, constant(1)), delay=12))

    assert [round(at - begun, 2) for at in work.started] == [12, 13, 17, 22, 27]


async def test_a_stop_during_the_delay_means_that_the_work_is_never_called(run_for: RunFor) -> None:
    """Nothing was started, nothing failed."""
    work = Script("ok")

    outcome = await run_for(5, Task.once("job", work, delay=12))

    assert work.calls == 0
    assert outcome.status == "stopped"


async def test_jitter_starts_each_run_late_and_leaves_the_grid_alone(run_for: RunFor) -> None:
    """0 to so many seconds behind its point, never drifting."""
    work = Script(FAST)
    begun = anyio.current_time()

    await run_for(495, Task.every("poll", 10, work, jitter=2))

    late = [at - begun - 10 * index for index, at in enumerate(work.started)]
    assert len(late) == 50
    assert min(late) >= 0
    assert max(late) <= 2.01
    assert len({round(share, 2) for share in late}) > 20


async def test_a_phase_puts_the_grid_beside_the_start(run_for: RunFor) -> None:
    """The first run is at once all the same; the points of many tasks do not fall together."""
    work = Script(FAST)
    begun = anyio.current_time()

    await run_for(36, Task.every("poll", 10, work, phase=3))

    assert [round(at - begun, 2) for at in work.started] == [0, 3, 13, 23, 33]


async def test_skipped_points_have_their_reason(events: RecordingListener, run_for: RunFor) -> None:
    """A long run, a row of retries, a late start: each is named for what it was."""
    long, failing, waiting = Script(12.0, FAST), Script(*[FAIL] * 3, FAST), Script(FAST)

    await run_for(20, Task.every("long", 5, long), listeners=[events])
    await run_for(20, Task.every("failing", 5, failing, retry.on(Exception, 5, constant(3))), listeners=[events])
    await run_for(
        20, Task.once("hog", Script(12.0)), Task.every("waiting", 5, waiting), listeners=[events], max_running=1
    )

    assert [(event.subject, event.count, event.reason.partition(":")[0]) for event in events.of(TicksSkipped)] == [
        ("long", 2, "the run before took longer than the interval"),
        ("failing", 1, "the run before had to be retried"),
        ("waiting", 2, "the run before started late"),
    ]


async def test_the_state_counts_skipped_points(run_for: RunFor) -> None:
    """No point is lost silently."""
    runner = Runner()
    runner.add(Task.every("poll", 5, Script(12.0)))

    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(31)
        state = runner.state()["poll"]
        runner.stop("done", drain=0)

    assert (state.runs, state.skipped) == (2, 4)


def test_a_blocked_loop_makes_runs_late_and_loses_no_point_silently() -> None:
    """In real time: 60 ms of blocking on a grid of 20 ms skips points, counts them, and keeps the phase."""
    events = RecordingListener()
    starts: list[float] = []
    skipped_before: list[int] = []

    async def main() -> None:
        runner = Runner(listeners=[events])

        async def work() -> None:
            starts.append(anyio.current_time())
            skipped_before.append(sum(event.count for event in events.of(TicksSkipped)))
            if len(starts) == 2:
                time.sleep(0.07)  # noqa: ASYNC251 - blocking the loop is what is tested
            if len(starts) == 4:
                runner.stop("seen enough", drain=0)

        runner.add(Task.every("poll", 0.02, work))
        await runner.run()

    anyio.run(main)

    skipped = skipped_before[-1]  # a busy machine may be late once more while the last run ends
    points = [round((at - starts[0]) / 0.02 - 0.2) for at in starts]
    assert skipped >= 3
    assert points[-1] + 1 == len(starts) + skipped


@pytest.mark.slow
async def test_a_thousand_slots_are_enough_for_ten_thousand_units_of_which_half_wait(run_for: RunFor) -> None:
    """5,000 units parked in an hour of backoff hold no slot: 5,000 others keep their grid to the tick."""
    starts: dict[str, list[float]] = {}
    failed: list[float] = []

    def healthy(name: str) -> Callable[[], Any]:
        async def work() -> None:
            starts.setdefault(name, []).append(anyio.current_time())

        return work

    async def parked() -> None:
        failed.append(anyio.current_time())
        raise ConnectionError

    hour = retry.on(ConnectionError, None, constant(3600))
    begun = anyio.current_time()

    await run_for(
        25,
        *[Task.once(f"parked-{n}", parked, hour) for n in range(5000)],
        *[Task.every(f"healthy-{n}", 10, healthy(f"healthy-{n}")) for n in range(5000)],
        max_running=1000,
    )

    assert len(failed) == 5000
    assert len(starts) == 5000
    for times in starts.values():
        assert [round(at - begun, 2) for at in times] == [0, 10, 20]


async def test_no_more_runs_than_slots_and_the_first_due_is_the_first_served(run_for: RunFor) -> None:
    """Ten units for two slots, in the order of their due times."""
    order: list[str] = []
    inside = most = 0

    def work(name: str) -> Callable[[], Any]:
        async def run() -> None:
            nonlocal inside, most
            order.append(name)
            inside += 1
            most = max(most, inside)
            await anyio.sleep(5)
            inside -= 1

        return run

    names = [f"unit-{n}" for n in range(10)]
    delays = [3, 1, 9, 2, 8, 0, 7, 4, 6, 5]

    await run_for(
        60, *[Task.once(name, work(name), delay=d / 10) for name, d in zip(names, delays, strict=True)], max_running=2
    )

    by_due = [name for _delay, name in sorted(zip(delays, names, strict=True))]
    # Two that start in the same instant may begin in either order: what is promised is who gets the next slot.
    assert [set(order[i : i + 2]) for i in range(0, 10, 2)] == [set(by_due[i : i + 2]) for i in range(0, 10, 2)]
    assert most == 2
