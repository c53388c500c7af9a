"""What follows an attempt: the events in order, each with all it says, and the unit afterwards."""

from math import inf
from random import Random
from typing import Any

import pytest

from longrun import Baseline, Category, Failure, Policy, Task, retry
from longrun.backoff import Curve, constant
from longrun.engine import Engine
from longrun.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptSucceeded,
    DegradedEntered,
    DegradedOngoing,
    DegradedRecovered,
    Event,
    GaveUp,
    RetryScheduled,
    TaskFailed,
    TaskFinished,
    TicksSkipped,
)  # fmt: skip
from longrun.rule import On
from longrun.task.gate import Gate
from longrun.task.run import Run
from longrun.task.unit import Unit
from longrun.task.verdict import failed, interrupted, resumed, succeeded

ERROR = ValueError("v")


async def work() -> None:
    """Nothing to do."""


class Chance(Random):
    """Chance that always falls in the middle."""

    def random(self) -> float:
        return 0.5


def running(
    task: Task, *rules: On, category: Category = Category.NODE, hint: float | None = None, **policies: Policy
) -> Unit:
    """A unit in its first attempt, due at 100, every failure of which is *category* where no rule speaks."""
    policy = Policy(Curve("four", 4, 0, lambda _attempt, _previous, rng: rng.uniform(4, 4)), retries=2)
    chosen: dict[str, Any] = {"node": policy, "service": policy, "degraded": policy, **policies}
    baseline = Baseline(classify=lambda _: Failure(category, hint), **chosen)
    unit = Unit(task, Engine([option.rule for option in rules], baseline))
    unit.anchor = unit.grid_due = unit.due = 100.0
    begin(unit)
    return unit


def begin(unit: Unit) -> Run:
    """The next attempt is in flight."""
    if unit.phase != "queued":
        unit.move("queued")
    unit.move("running")
    if unit.run is None:
        unit.run = Run(unit.name, "r1")
    unit.run.attempt += 1
    return unit.run


def succeed(unit: Unit, started: float, now: float) -> list[Event]:
    assert unit.run is not None
    return succeeded(unit, unit.run, started, now, Chance())


def fail(unit: Unit, started: float, now: float, latest: float = inf, error: Exception = ERROR) -> list[Event]:
    assert unit.run is not None
    return list(failed(unit, unit.run, error, started, now, Random(1), latest))


def every(interval: float = 10.0, **settings: Any) -> Task:
    return Task.every("poll", interval, work, **settings)


def test_a_one_shot_task_that_succeeds_is_finished() -> None:
    """One attempt, and its duration."""
    unit = running(Task.once("job", work))

    events = succeed(unit, 101.0, 103.5)

    assert events == [AttemptSucceeded("job", 1, 2.5, "r1"), TaskFinished("job", "r1")]
    state = unit.state(103.5)
    assert (state.phase, state.runs, state.failures, state.attempt, state.last_succeeded) == (
        "finished",
        1,
        0,
        0,
        103.5,
    )


def test_a_success_that_nobody_wants_to_hear_of_is_not_told_but_what_it_changes_is() -> None:
    """Without routine: the end of an episode, the end of a task, skipped points."""
    once, late, plain = running(Task.once("job", work)), running(every()), running(every())
    degraded = running(every(), category=Category.UNKNOWN)
    fail(degraded, 100.0, 101.0)
    begin(degraded)
    told = []

    for unit, now in ((once, 101.0), (late, 115.0), (plain, 101.0), (degraded, 107.0)):
        assert unit.run is not None
        told.append(succeeded(unit, unit.run, 100.0, now, Chance(), routine=False))

    reason = "the run before took longer than the interval"
    assert told == [
        [TaskFinished("job", "r1")], [TicksSkipped("poll", 1, reason)], [], [DegradedRecovered("poll", 6.0, 1)],
    ]  # fmt: skip
    assert [unit.runs for unit in (once, late, plain, degraded)] == [1, 1, 1, 1]


def test_an_interval_task_that_succeeds_in_time_is_due_at_the_next_point() -> None:
    """Nothing was skipped, so nothing is said of it."""
    unit = running(every())

    events = succeed(unit, 101.0, 103.5)

    assert events == [AttemptSucceeded("poll", 1, 2.5, "r1")]
    assert (unit.phase, unit.grid_due, unit.due, unit.skipped, unit.runs) == ("waiting", 110.0, 110.0, 0, 1)
    assert unit.run is None


@pytest.mark.parametrize(("missed", "due", "skipped"), [("skip", 140.0, 3), ("catch_up_one", 135.0, 2)])
def test_points_that_passed_during_the_run_are_skipped_and_counted(missed: Any, due: float, skipped: int) -> None:
    """110, 120 and 130 passed; one of them may be made good at once."""
    unit = running(every(missed=missed))
    unit.skipped = 5

    events = succeed(unit, 100.0, 135.0)

    reason = "the run before took longer than the interval"
    assert events == [AttemptSucceeded("poll", 1, 35.0, "r1"), TicksSkipped("poll", skipped, reason)]
    assert (unit.grid_due, unit.due, unit.skipped) == (due, due, 5 + skipped)


@pytest.mark.parametrize(
    ("started", "attempts", "reason"),
    [
        (100.0, 1, "the run before took longer than the interval"),
        (109.9, 1, "the run before took longer than the interval"),
        (110.0, 1, "the run before started late: every slot was taken, its gate was closed, or the event loop was "
         "blocked"),
        (110.0, 2, "the run before had to be retried"),
        (100.0, 2, "the run before had to be retried"),
    ],
)  # fmt: skip
def test_skipped_points_have_the_reason_that_came_first(started: float, attempts: int, reason: str) -> None:
    """Retries before lateness, lateness (a whole interval of it) before slowness."""
    unit = running(every())
    assert unit.run is not None
    unit.run.attempt = attempts

    events = succeed(unit, started, 125.0)

    assert events[1:] == [TicksSkipped("poll", 2, reason)]


def test_with_a_fixed_delay_the_next_run_counts_from_the_end() -> None:
    """However long the run took, nothing is skipped."""
    unit = running(every(timing="fixed_delay"))

    events = succeed(unit, 100.0, 135.0)

    assert events == [AttemptSucceeded("poll", 1, 35.0, "r1")]
    assert (unit.grid_due, unit.due, unit.skipped) == (145.0, 145.0, 0)


def test_jitter_puts_the_run_behind_its_point_and_leaves_the_grid_where_it_is() -> None:
    """Half of two seconds late, by the middle of chance."""
    unit = running(every(jitter=2))

    succeed(unit, 100.0, 101.0)

    assert (unit.grid_due, unit.due) == (110.0, 111.0)


def test_a_success_forgets_the_failures_before_it() -> None:
    """What was spent, the last error, its category: all as if new. The totals stay."""
    unit = running(every())
    fail(unit, 100.0, 101.0)
    unit.move("queued")
    begin(unit)

    events = succeed(unit, 105.0, 106.0)

    assert events == [AttemptSucceeded("poll", 2, 1.0, "r1")]
    state = unit.state(106.0)
    assert (state.last_error, state.category, state.runs, state.failures) == (None, None, 1, 1)
    begin(unit)
    assert fail(unit, 110.0, 111.0)[1:] == [RetryScheduled("poll", 1, 4.0, "node", ERROR, None, Category.NODE, "r1")]
    begin(unit)
    succeed(unit, 115.0, 116.0)
    assert unit.runs == 2


def test_a_failure_with_retries_left_is_retried_after_the_wait() -> None:
    """Within the same run."""
    unit = running(every())

    events = fail(unit, 101.0, 103.5)

    assert events == [
        AttemptFailed("poll", 1, 2.5, ERROR, Category.NODE, "r1"),
        RetryScheduled("poll", 1, 4.0, "node", ERROR, None, Category.NODE, "r1"),
    ]
    state = unit.state(103.5)
    assert (state.phase, state.next_due, unit.grid_due, state.failures) == ("retrying", 107.5, 100.0, 1)
    assert (state.last_error, state.category, state.attempt) == (ERROR, Category.NODE, 1)


def test_a_failure_with_nothing_left_ends_the_task() -> None:
    """The reason is told twice: of the call, and of the task."""
    unit = running(every(), node=Policy(constant(4), retries=1))
    fail(unit, 100.0, 101.0)
    begin(unit)

    events = fail(unit, 105.0, 107.0)

    reason = "the one retry of category NODE is spent"
    assert events == [
        AttemptFailed("poll", 2, 2.0, ERROR, Category.NODE, "r1"),
        GaveUp("poll", 2, ERROR, reason, "r1"),
        TaskFailed("poll", ERROR, reason),
    ]
    state = unit.state(107.0)
    assert (state.phase, state.attempt, state.failures, state.last_error) == ("failed", 0, 2, ERROR)


def test_a_failure_that_a_rule_decides_has_no_category() -> None:
    """The baseline was not asked."""
    unit = running(every(), retry.on(ValueError, 1, constant(3), name="odd"))

    events = fail(unit, 100.0, 101.0)

    assert events == [
        AttemptFailed("poll", 1, 1.0, ERROR, None, "r1"),
        RetryScheduled("poll", 1, 3.0, "odd", ERROR, None, None, "r1"),
    ]


def test_a_wait_hint_closes_the_gate_for_as_long_as_was_asked() -> None:
    """Not without a hint; and without a gate it is just waited for."""
    hinted, plain = Gate("hinted"), Gate("plain")
    one = running(every(gate=hinted), category=Category.SERVICE, hint=30.0)
    other = running(every(gate=plain), category=Category.SERVICE)
    bare = running(every(), category=Category.SERVICE, hint=30.0)

    events = fail(one, 100.0, 101.0)
    fail(other, 100.0, 101.0)
    fail(bare, 100.0, 101.0)

    assert events[1] == RetryScheduled("poll", 1, 30.0, "service", ERROR, 30.0, Category.SERVICE, "r1")
    assert (one.due, other.due, bare.due) == (131.0, 105.0, 131.0)
    assert hinted.opens_for("poll", 130.9) is not None
    assert hinted.opens_for("poll", 131.0) is None
    assert plain.opens_for("poll", 101.0) is None


@pytest.mark.parametrize(("latest", "left"), [(130.9, "29.9"), (101.0, "0"), (90.0, "0")])
def test_a_hint_that_ends_after_the_phase_is_not_begun(latest: float, left: str) -> None:
    """The task fails now, and says what was asked and what is left."""
    gate = Gate("g")
    unit = running(every(gate=gate), category=Category.SERVICE, hint=30.0)

    events = fail(unit, 100.0, 101.0, latest)

    reason = f"asked to wait 30 s, but the phase ends in {left} s"
    assert events == [
        AttemptFailed("poll", 1, 1.0, ERROR, Category.SERVICE, "r1"),
        GaveUp("poll", 1, ERROR, reason, "r1"),
        TaskFailed("poll", ERROR, reason),
    ]
    assert gate.opens_for("poll", 102.0) is None


def test_a_hint_that_ends_with_the_phase_is_waited_for_and_so_is_any_wait_without_one() -> None:
    """Only what the other side asked for is known to be in vain."""
    exact = running(every(), category=Category.SERVICE, hint=30.0)
    plain = running(every(), category=Category.SERVICE)

    fail(exact, 100.0, 101.0, latest=131.0)
    fail(plain, 100.0, 101.0, latest=101.5)

    assert (exact.phase, plain.phase) == ("retrying", "retrying")


def test_a_failure_of_no_known_kind_opens_an_episode_that_a_success_closes() -> None:
    """Entered once, ongoing with its age and count, recovered; and the next one begins anew."""
    unit = running(every(), category=Category.UNKNOWN, degraded=Policy(constant(4)))

    first = fail(unit, 100.0, 101.0)[2:]
    begin(unit)
    second = fail(unit, 105.0, 106.0)[2:]
    begin(unit)
    third = fail(unit, 110.0, 112.0)[2:]
    begin(unit)
    since = unit.state(112.0).degraded_since
    healed = succeed(unit, 116.0, 120.0)
    begin(unit)
    again = fail(unit, 130.0, 131.0)[2:]

    assert first == [DegradedEntered("poll", ERROR)]
    assert second == [DegradedOngoing("poll", ERROR, 5.0, 2)]
    assert third == [DegradedOngoing("poll", ERROR, 11.0, 3)]
    assert since == 101.0
    assert healed[:2] == [AttemptSucceeded("poll", 4, 4.0, "r1"), DegradedRecovered("poll", 19.0, 3)]
    assert again == [DegradedEntered("poll", ERROR)]
    begin(unit)
    assert fail(unit, 140.0, 143.0)[2:] == [DegradedOngoing("poll", ERROR, 12.0, 2)]


@pytest.mark.parametrize("category", [Category.NODE, Category.SERVICE])
def test_a_failure_of_a_known_kind_opens_no_episode(category: Category) -> None:
    """Whoever is degraded is so loudly, and for that it must be rare."""
    unit = running(every(), category=category)

    assert [event.name for event in fail(unit, 100.0, 101.0)] == ["attempt.failed", "retry.scheduled"]
    assert unit.state(101.0).degraded_since is None


def test_a_run_that_is_cut_off_is_neither_a_success_nor_a_failure() -> None:
    """It stops, and its attempt says how long it was."""
    unit = running(every())
    assert unit.run is not None

    events = list(interrupted(unit, unit.run, 101.0, 103.5))

    assert events == [AttemptCancelled("poll", 1, 2.5, "r1")]
    state = unit.state(103.5)
    assert (state.phase, state.attempt, state.runs, state.failures) == ("stopped", 0, 0, 0)


def paused(task: Task, *, started: float | None = 100.0, retrying: bool = False) -> Unit:
    """A unit that an operator paused before the point at 100, or between two attempts of the run of that point."""
    unit = running(task)
    unit.last_started = started
    if retrying:
        fail(unit, 100.0, 101.0)
    else:
        unit.run = None
    unit.move("paused")
    return unit


@pytest.mark.parametrize(("missed", "due", "skipped"), [("skip", 140.0, 4), ("catch_up_one", 135.0, 3)])
def test_points_that_passed_during_a_pause_are_skipped_and_counted(missed: Any, due: float, skipped: int) -> None:
    """100, 110, 120 and 130 passed; one of them may be made good at once."""
    unit = paused(every(missed=missed))
    unit.skipped = 5

    events = resumed(unit, 135.0)

    assert events == [TicksSkipped("poll", skipped, "the task was paused")]
    assert (unit.phase, unit.due, unit.grid_due, unit.skipped) == ("waiting", due, due, 5 + skipped)


def test_a_point_that_is_due_in_the_very_instant_has_passed_and_one_made_good_is_not_skipped() -> None:
    """One point: skipped, or caught up."""
    skipping, catching = paused(every()), paused(every(missed="catch_up_one"))

    assert resumed(skipping, 100.0) == [TicksSkipped("poll", 1, "the task was paused")]
    assert resumed(catching, 100.0) == []
    assert (skipping.due, catching.due, catching.grid_due, catching.skipped) == (110.0, 100.0, 100.0, 0)


@pytest.mark.parametrize(("now", "due"), [(99.0, 100.0), (135.0, 135.0)])
def test_without_a_grid_behind_it_a_unit_that_is_resumed_starts_when_it_was_due_or_at_once(
    now: float, due: float
) -> None:
    """One-shot tasks, fixed delays, and tasks that have never run."""
    for unit in (
        paused(Task.once("job", work)), paused(every(timing="fixed_delay")), paused(every(), started=None),
    ):  # fmt: skip
        assert resumed(unit, now) == []
        assert (unit.phase, unit.due, unit.grid_due, unit.skipped) == ("waiting", due, 100.0, 0)


def test_a_unit_that_is_resumed_before_its_next_point_keeps_it() -> None:
    """Nothing has passed."""
    unit = paused(every())

    assert resumed(unit, 99.9) == []
    assert (unit.phase, unit.due, unit.grid_due) == ("waiting", 100.0, 100.0)


@pytest.mark.parametrize(("now", "due"), [(103.0, 105.0), (135.0, 135.0)])
def test_a_retry_that_was_paused_is_made_when_it_was_due_or_at_once(now: float, due: float) -> None:
    """Within the same run, whose point is served by it."""
    unit = paused(every(), retrying=True)

    assert resumed(unit, now) == []
    assert (unit.phase, unit.due, unit.grid_due, unit.skipped) == ("retrying", due, 100.0, 0)
