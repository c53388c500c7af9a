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
from longrun.task.terms import Terms
from longrun.task.unit import Trouble, Unit


def succeeded(unit: Unit, run: Run, started: float, now: float, rng: Random, *, routine: bool = True) -> list[Event]:
    """The attempt returned: budgets are full again, an episode ends, the next point of the grid is due.

    Without *routine* the success itself is not told, only what it changes.
    """
    events: list[Event] = [AttemptSucceeded(run.task, run.attempt, now - started, run.id)] if routine else []
    unit.runs += 1
    unit.last_succeeded = now
    unit.run = None
    if unit.trouble is not None:
        events.extend(_recovered(unit, unit.trouble, now))
    terms = unit.task.terms
    if terms.interval is None:
        unit.move("finished")
        events.append(TaskFinished(run.task, run.id))
        return events
    due, skipped = _following(unit, terms, terms.interval, now)
    if skipped:
        reason = _why_skipped(run, started - unit.grid_due, terms.interval)
        unit.skipped += skipped
        events.append(TicksSkipped(run.task, skipped, reason))
    unit.extra = False
    unit.grid_due = unit.due = due
    if terms.jitter:
        unit.due += rng.uniform(0, terms.jitter)
    unit.move("waiting")
    return events


def failed(
    unit: Unit, run: Run, error: Exception, started: float, now: float, rng: Random, latest: float
) -> Iterator[Event]:
    """The attempt raised *error*: retry later within the same tick, or fail for good.

    A wait that the other side asked for and that ends after *latest* is not begun.
    """
    trouble = unit.trouble = unit.trouble or Trouble()
    decision = unit.engine.decide(error, trouble.spent, rng)
    if isinstance(decision, RetryAfter) and decision.hint is not None and now + decision.hint > latest:
        decision = GiveUp(
            f"asked to wait {decision.hint:g} s, but the phase ends in {max(0.0, latest - now):.3g} s",
            category=decision.category,
        )
    trouble.failures += 1
    trouble.last_error = error
    trouble.category = decision.category
    yield AttemptFailed(unit.name, run.attempt, now - started, error, decision.category, run.id)
    if unit.removed:  # nothing follows from what it failed with on its way out
        unit.run = None
        unit.move("stopped")
        return
    if isinstance(decision, GiveUp):
        unit.run = None
        unit.move("failed")
        yield GaveUp(unit.name, run.attempt, error, decision.reason, run.id)
        yield TaskFailed(unit.name, error, decision.reason)
        return
    unit.due = now + decision.wait
    unit.move("retrying")
    if decision.hint is not None and unit.task.terms.gate is not None:
        unit.task.terms.gate.close(now, now + decision.hint)
    yield RetryScheduled(
        unit.name, run.attempt, decision.wait, decision.rule, error, decision.hint, decision.category, run.id
    )
    if decision.category is Category.UNKNOWN:
        yield _degraded(unit.name, trouble, error, now)


def interrupted(unit: Unit, run: Run, started: float, now: float) -> Iterator[Event]:
    """The attempt was cancelled by the stop of the runner, or because its task was removed."""
    unit.run = None
    unit.move("stopped")
    yield AttemptCancelled(unit.name, run.attempt, now - started, run.id)


def resumed(unit: Unit, now: float) -> list[Event]:
    """A paused unit goes on: with its retry, or with its grid, whose points that passed meanwhile are counted."""
    terms = unit.task.terms
    unit.extra = unit.extra and unit.grid_due > now
    keeps_due = unit.run is not None or terms.interval is None or terms.timing == "fixed_delay"
    if keeps_due or unit.last_started is None or unit.grid_due > now:
        unit.due = max(unit.due, now)
        unit.move("waiting" if unit.run is None else "retrying")
        return []
    assert terms.interval is not None
    catch_up = terms.missed == "catch_up_one"
    following = next_on_grid(unit.anchor, terms.interval, unit.grid_due - terms.interval, now, catch_up=catch_up)
    unit.grid_due = unit.due = following.due
    unit.move("waiting")
    if not following.skipped:
        return []
    unit.skipped += following.skipped
    return [TicksSkipped(unit.name, following.skipped, "the task was paused")]


def _following(unit: Unit, terms: Terms, interval: float, now: float) -> Next:
    if terms.timing == "fixed_delay":
        return next_after(interval, now)
    served = unit.grid_due
    if unit.extra:
        if served > now:
            return Next(served)
        served -= interval
    return next_on_grid(unit.anchor, interval, served, now, catch_up=terms.missed == "catch_up_one")


def _why_skipped(run: Run, late: float, interval: float) -> str:
    if run.attempt > 1:
        return "the run before had to be retried"
    if late >= interval:
        return "the run before started late: every slot was taken, its gate was closed, or the event loop was blocked"
    return "the run before took longer than the interval"


def _degraded(name: str, trouble: Trouble, error: Exception, now: float) -> Event:
    trouble.degraded_failures += 1
    if trouble.degraded_since is None:
        trouble.degraded_since = now
        return DegradedEntered(name, error)
    return DegradedOngoing(name, error, now - trouble.degraded_since, trouble.degraded_failures)


def _recovered(unit: Unit, trouble: Trouble, now: float) -> Iterator[Event]:
    trouble.spent.forget()
    trouble.last_error = trouble.category = None
    if trouble.degraded_since is not None:
        yield DegradedRecovered(unit.name, now - trouble.degraded_since, trouble.degraded_failures)
        trouble.degraded_since = None
        trouble.degraded_failures = 0
