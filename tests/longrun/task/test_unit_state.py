"""The state of a unit, as a value."""

import pytest

from longrun import Category, Critic, ExtendOnce, Task
from longrun.engine import Engine, Spent
from longrun.task.flight import Flight
from longrun.task.run import Run
from longrun.task.unit import TaskState, Trouble, Unit, UnitPhase


async def work() -> None:
    """Nothing to do."""


def said(state: TaskState) -> tuple[object, ...]:
    """The fields of *state*, in the order in which they are documented."""
    return (
        state.name, state.phase, state.runs, state.failures, state.skipped, state.attempt, state.last_started,
        state.last_succeeded, state.next_due, state.category, state.last_error, state.degraded_since,
    )  # fmt: skip


def made() -> Unit:
    return Unit(Task.once("job", work), Engine())


def test_a_new_unit_waits_and_has_nothing_behind_it() -> None:
    """No runs, no failures, nothing known."""
    one = made()

    state = one.state(5.0)

    assert said(state) == ("job", "waiting", 0, 0, 0, 0, None, None, 0.0, None, None, None)
    assert (state.late, state.stuck, state.paused) == (False, False, None)
    assert (one.name, one.over) == ("job", False)
    assert (one.tick, one.anchor, one.grid_due, one.again, one.removed) == (-1, 0.0, 0.0, "no", False)
    assert (one.run, one.flight, one.trouble) == (None, None, None)


def test_new_trouble_has_spent_nothing() -> None:
    """Budgets are full."""
    trouble = Trouble()

    assert isinstance(trouble.spent, Spent)
    assert not trouble.spent
    assert (trouble.failures, trouble.degraded_failures) == (0, 0)
    assert (trouble.last_error, trouble.category, trouble.degraded_since) == (None, None, None)


def test_the_state_says_all_that_the_unit_knows_by_value() -> None:
    """Each field its own number, so that none can stand for another; later changes do not reach the value."""
    one, error = made(), ValueError("v")
    one.phase, one.runs, one.skipped, one.paused = "retrying", 2, 4, "by hand"
    one.run = Run("job", "id")
    one.run.attempt = 5
    one.last_started, one.last_succeeded, one.due = 6.0, 7.0, 8.0
    one.trouble = Trouble()
    one.trouble.failures, one.trouble.degraded_since = 3, 9.0
    one.trouble.category, one.trouble.last_error = Category.NODE, error

    state = one.state(10.0)
    one.runs, one.phase, one.run, one.trouble = 99, "queued", None, None

    assert said(state) == ("job", "retrying", 2, 3, 4, 5, 6.0, 7.0, 8.0, Category.NODE, error, 9.0)
    assert (state.late, state.stuck, state.paused) == (False, False, "by hand")


def test_a_run_that_outlives_its_interval_is_late_and_one_that_does_not_end_is_stuck() -> None:
    """The flight knows since when."""
    one = Unit(Task.every("poll", 10, work), Engine())
    one.flight = Flight(one, Run("poll", "id"), 100.0)
    exact, late = one.state(110.0), one.state(110.1)

    one.flight.stuck = True

    assert (exact.late, late.late, late.stuck, one.state(110.0).stuck) == (False, True, False, True)


def test_the_watch_of_an_attempt_counts_from_where_it_begins_also_when_the_loop_was_blocked_before() -> None:
    """The progress of the attempt before it does not begin its watch."""
    one = Unit(Task.every("poll", 10, work, stall=Critic(ExtendOnce(60), expected=5)), Engine())
    run = Run("poll", "id")
    run.last_progress = 90.0
    flight = Flight(one, run, 100.0)

    flight.shift(2.0)
    flight.begin(110.0)

    watch = flight.watched()
    assert watch is not None
    assert (watch.deadline, flight.deadline) == (120.0, 120.0)


@pytest.mark.parametrize(
    ("phase", "due"),
    [("waiting", 8.0), ("retrying", 8.0), ("queued", None), ("running", None), ("paused", None), ("finished", None),
     ("failed", None), ("stopped", None)],
)  # fmt: skip
def test_only_what_stands_on_the_calendar_is_due(phase: UnitPhase, due: float | None) -> None:
    """A unit that runs, waits for a slot, is paused or over has no instant to wait for."""
    one = made()
    one.phase, one.due = phase, 8.0

    assert one.state(5.0).next_due == due


def test_a_unit_without_a_run_is_at_no_attempt() -> None:
    """Between two runs the count starts again."""
    one = made()
    one.run = Run("job", "id")
    one.run.attempt = 3
    during = one.state(5.0).attempt

    one.run = None

    assert (during, one.state(5.0).attempt) == (3, 0)
