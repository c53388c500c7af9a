"""What an operator may ask of one unit while its runner goes on: pause, resume, run now. Each is O(1)."""

from longrun.events import Event
from longrun.task.dispatcher import Dispatcher
from longrun.task.unit import Unit
from longrun.task.verdict import resumed


def pause(unit: Unit, dispatcher: Dispatcher, reason: str) -> bool:
    """No new attempt of *unit* starts; one in flight ends by itself, or when it sees that it is asked to.

    False when it is paused, or over; but what was triggered meanwhile, and has not begun, does not begin either.
    """
    if unit.over:
        return False
    new = unit.paused is None
    if new:
        unit.paused = reason
    if unit.run is not None:
        unit.run.stopping = True
    if unit.again == "at once":
        unit.again = "when resumed"
    if unit.phase not in ("running", "paused"):
        dispatcher.drop(unit)
        unit.move("paused")
    return new


def resume(unit: Unit, dispatcher: Dispatcher, now: float, *, stopping: bool) -> list[Event] | None:
    """*unit* goes on where its grid is by now, or with its retry; what to tell. None when it was not paused.

    *stopping*: whether the whole runner stops.
    """
    if unit.paused is None or unit.over:
        return None
    unit.paused = None
    if unit.run is not None:
        unit.run.stopping = stopping
    if unit.again == "when resumed":
        unit.again = "at once"
    if unit.phase != "paused":
        return []
    events = resumed(unit, now)
    dispatcher.put(unit, unit.due)
    return events


def trigger(unit: Unit, dispatcher: Dispatcher, now: float) -> None:
    """*unit* runs now, or once more right after the run in flight: runs never overlap. Its grid stays as it is.

    A wait before a retry is cut short. A paused unit runs once and stays paused.
    """
    if unit.phase == "running":
        unit.again = "at once"
    elif unit.phase != "queued":
        _at_once(unit, dispatcher, now)


def landed(unit: Unit, dispatcher: Dispatcher, now: float) -> None:
    """The attempt of *unit* has ended and it goes on: at its next due time, at once if that was asked, or not yet."""
    again = unit.again
    if again != "no":
        unit.again = "no"
    if again == "at once":
        _at_once(unit, dispatcher, now)
    elif unit.paused is not None:
        if again == "when resumed":
            unit.extra, unit.due = unit.extra or unit.run is None, now
        unit.move("paused")
    else:
        dispatcher.put(unit, unit.due)


def _at_once(unit: Unit, dispatcher: Dispatcher, now: float) -> None:
    if unit.run is None:
        unit.extra = True
    else:
        unit.run.stopping = False
    unit.move("waiting" if unit.run is None else "retrying")
    dispatcher.put(unit, now)
