"""What the shedding options tell."""

from dataclasses import dataclass
from typing import ClassVar

from longrun.events import Event
from longrun.shed.priorities import Priority


@dataclass(frozen=True, slots=True)
class CallShed(Event):
    """A call was refused before it ran. *option* is ``adaptive``, ``throttle`` or ``on_latency``, with its name."""

    name: ClassVar[str] = "shed.refused"
    option: str
    priority: Priority
    reason: str


@dataclass(frozen=True, slots=True)
class LimitChanged(Event):
    """An adaptive limit went from *old*, the one last told, to *new*. Told at most every few seconds.

    *latency* is the mean of the latest window, *baseline* the mean without queueing as far as known; both in seconds.
    """

    name: ClassVar[str] = "shed.limit_changed"
    option: str
    old: int
    new: int
    latency: float
    baseline: float
