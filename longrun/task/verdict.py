"""What follows an attempt: the unit's next phase and the events to tell. No I/O, no waiting."""

from collections.abc import Iterator
from random import Random

from longrun.engine import GiveUp, RetryAfter
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
)
from longrun.failure.category import Category
from longrun.task.grid import Next, next_after, next_on_grid
from longrun.task.run import Run
from longrun.task.unit import Unit


def succeeded(unit: Unit, run: Run, started: float, now: float, rng: Random) -> Iterator[Event]:
    """The attempt returned: budgets are full again, an episode ends, the next point of the grid is due."""
    unit.runs += 1
    unit.spent.forget()
    unit.last_succeeded = now
    unit.last_error = unit.category = None
    unit.run = None
    yield AttemptSucceeded(unit.name, run.attempt, now - started, run.id)
    yield from _recovered(unit, now)
    task = unit.task
    if task.interval is None:
        unit.move("finished")
        yield TaskFinished(unit.name, run.id)
        return
    reason = _why_skipped(run, started - unit.grid_due, task.interval)
    following = _following(unit, task.interval, now)
    unit.grid_due = following.due
    unit.due = following.due + (rng.uniform(0, task.jitter) if task.jitter else 0.0)
    unit.skipped += following.skipped
    unit.move("waiting")
    if following.skipped:
        yield TicksSkipped(unit.name, following.skipped, reason)


def failed(
    unit: Unit, run: Run, error: Exception, started: float, now: float, rng: Random, latest: float
) -> Iterator[Event]:
    """The attempt raised *error*: retry later within the same tick, or fail for good.

    A wait that the other side asked for and that ends after *latest* is not begun.
    """
    decision = unit.engine.decide(error, unit.spent, rng)
    if isinstance(decision, RetryAfter) and decision.hint is not None and now + decision.hint > latest:
        decision = GiveUp(
            f"asked to wait {decision.hint:g} s, but the phase ends in {max(0.0, latest - now):.3g} s",
            category=decision.category,
        )
    unit.failures += 1
    unit.last_error = error
    unit.category = decision.category
    yield AttemptFailed(unit.name, run.attempt, now - started, error, decision.category, run.id)
    if isinstance(decision, GiveUp):
        unit.run = None
        unit.move("failed")
        yield GaveUp(unit.name, run.attempt, error, decision.reason, run.id)
        yield TaskFailed(unit.name, error, decision.reason)
        return
    unit.due = now + decision.wait
    unit.move("retrying")
    if decision.hint is not None and unit.task.gate is not None:
        unit.task.gate.close(now, now + decision.hint)
    yield RetryScheduled(
        unit.name, run.attempt, decision.wait, decision.rule, error, decision.hint, decision.category, run.id
    )
    if decision.category is Category.UNKNOWN:
        yield _degraded(unit, error, now)


def interrupted(unit: Unit, run: Run, started: float, now: float) -> Iterator[Event]:
    """The attempt was cancelled by the stop of the runner."""
    unit.run = None
    unit.move("stopped")
    yield AttemptCancelled(unit.name, run.attempt, now - started, run.id)


def _following(unit: Unit, interval: float, now: float) -> Next:
    if unit.task.timing == "fixed_delay":
        return next_after(interval, now)
    catch_up = unit.task.missed == "catch_up_one"
    return next_on_grid(unit.anchor, interval, unit.grid_due, now, catch_up=catch_up)


def _why_skipped(run: Run, late: float, interval: float) -> str:
    if run.attempt > 1:
        return "the run before had to be retried"
    if late >= interval:
        return "the run before started late: every slot was taken, its gate was closed, or the event loop was blocked"
    return "the run before took longer than the interval"


def _degraded(unit: Unit, error: Exception, now: float) -> Event:
    unit.degraded_failures += 1
    if unit.degraded_since is None:
        unit.degraded_since = now
        return DegradedEntered(unit.name, error)
    return DegradedOngoing(unit.name, error, now - unit.degraded_since, unit.degraded_failures)


def _recovered(unit: Unit, now: float) -> Iterator[Event]:
    if unit.degraded_since is not None:
        yield DegradedRecovered(unit.name, now - unit.degraded_since, unit.degraded_failures)
        unit.degraded_since = None
        unit.degraded_failures = 0
