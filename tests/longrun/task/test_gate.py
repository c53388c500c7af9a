"""Gates: one wait hint parks every task that uses the same credential."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from longrun import Baseline, Gate, Outcome, Policy, Task, retry
from longrun.backoff import constant
from longrun.task.gate import SPREAD_CAP, spread
from longrun.testing import Script

pytestmark = pytest.mark.anyio

RunFor = Callable[..., Awaitable[Outcome]]


class Busy(Exception):
    """The other side says how long."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


async def test_one_hint_parks_all_tasks_of_the_gate_and_nobody_else(run_for: RunFor) -> None:
    """The others wake up behind its end, spread over a tenth of the wait; foreign tasks keep their grid."""
    gate, begun = Gate("token"), anyio.current_time()
    limited = Script("ok", Busy(100), "ok")
    same, foreign = [Script("ok") for _ in range(20)], Script("ok")

    await run_for(
        125,
        Task.every("limited", 10, limited, retry.on(Busy, 3, constant(1)), gate=gate, delay=1),
        *[Task.every(f"same-{n}", 20, work, gate=gate) for n, work in enumerate(same)],
        Task.every("foreign", 20, foreign, gate=Gate("another")),
    )

    assert limited.started[2] - begun == pytest.approx(111, abs=0.01)
    again = [work.started[1] - begun for work in same]
    assert min(again) >= 111
    assert max(again) <= 121.01
    assert len({round(at, 2) for at in again}) == 20
    assert [round(at - begun) for at in foreign.started] == [0, 20, 40, 60, 80, 100, 120]


async def test_a_parked_task_holds_no_slot(run_for: RunFor) -> None:
    """Fifty tasks behind a closed gate leave both slots to another."""
    gate, other = Gate("token"), Script(1.0)

    await run_for(
        60,
        Task.once("limited", Script(Busy(1000)), retry.on(Busy, 3, constant(1)), gate=gate),
        *[Task.every(f"same-{n}", 5, Script("ok"), gate=gate, delay=1) for n in range(50)],
        Task.every("other", 2, other, delay=1),
        max_running=1,
    )

    assert other.calls == 30


async def test_a_unit_that_waits_for_a_slot_is_parked_too(run_for: RunFor) -> None:
    """The gate closes while others of its credential stand in the queue: they do not go through."""
    gate, begun = Gate("token"), anyio.current_time()
    same = [Script(0.5) for _ in range(5)]

    async def limited(script: Script = Script(Busy(100), "ok")) -> None:  # noqa: B008 - one script for all attempts
        await anyio.sleep(3)
        await script()

    await run_for(
        200,
        Task.once("limited", limited, retry.on(Busy, 3, constant(1)), gate=gate),
        *[Task.once(f"same-{n}", work, gate=gate, delay=1) for n, work in enumerate(same)],
        max_running=1,
    )

    assert [work.calls for work in same] == [1] * 5
    assert min(work.started[0] for work in same) - begun >= 103


async def test_a_hint_that_a_baseline_reads_closes_the_gate_just_as_well(run_for: RunFor) -> None:
    """Rules or categories: the hint is what counts."""
    gate, same, begun = Gate("token"), Script("ok"), anyio.current_time()

    await run_for(
        80,
        Task.once("limited", Script(Busy(50), "ok"), gate=gate),
        Task.every("same", 10, same, gate=gate, delay=1),
        baseline=Baseline(service=Policy(constant(5))),
    )

    assert same.started[0] - begun >= 50


async def test_a_failure_without_a_hint_closes_nothing(run_for: RunFor) -> None:
    """Backoff is each task's own affair."""
    gate, same = Gate("token"), Script("ok")

    await run_for(
        35,
        Task.once("failing", Script("fail"), retry.on(Exception, None, constant(1000)), gate=gate),
        Task.every("same", 10, same, gate=gate),
    )

    assert same.calls == 4


def test_a_later_shorter_hint_never_shortens_a_gate() -> None:
    """And a longer one lengthens it."""
    gate = Gate("token")

    gate.close(0.0, 100.0)
    gate.close(10.0, 50.0)
    assert gate.opens_for("x", 60.0) is not None
    gate.close(20.0, 200.0)
    assert (gate.opens_for("x", 150.0) or 0) >= 200
    assert gate.opens_for("x", 200.0) is None


def test_nobody_waits_longer_behind_the_opening_than_the_cap_of_the_spread() -> None:
    """An hour of closure does not become six minutes of spread."""
    gate = Gate("token")
    gate.close(0.0, 3600.0)

    wakes = [gate.opens_for(f"task-{n}", 1.0) or 0 for n in range(500)]

    assert min(wakes) >= 3600
    assert max(wakes) <= 3600 + SPREAD_CAP
    assert max(wakes) - min(wakes) > SPREAD_CAP / 2


def test_the_spread_of_a_name_is_the_same_in_every_process() -> None:
    """A restart wakes the same tasks at the same places."""
    assert spread("poll") == spread("poll")
    assert spread("worker:poll:o/n") == pytest.approx(0.9291812067385763)
    assert len({spread(f"task-{n}") for n in range(1000)}) == 1000


@pytest.mark.parametrize("name", ["", "\udc80", "x" * 10_000])
def test_any_name_has_its_place(name: str) -> None:
    """Also one that UTF-8 cannot write."""
    assert 0 <= spread(name) < 1


def test_a_gate_opens_though_floating_point_is_a_hair_short() -> None:
    """A unit due a rounding error before the opening is let through, not parked for the whole spread again."""
    gate = Gate("token")
    gate.close(0.0, 0.3)

    assert gate.opens_for("x", 0.3 - 1e-9) is None


def test_a_gate_says_when_it_opens() -> None:
    """What an operator wants to see."""
    gate: Any = Gate("token")
    gate.close(0.0, 12.5)

    assert repr(gate) == "<Gate token: opens at 12.500>"
