"""What a hedge tells. Copies count from 1, the call itself."""

from dataclasses import dataclass
from typing import ClassVar

from longrun.events import Event


@dataclass(frozen=True, slots=True)
class HedgeStarted(Event):
    """Copy *copy* of the call starts, *elapsed* seconds into it; *reason* is ``slow`` or ``failed``."""

    name: ClassVar[str] = "hedge.started"
    copy: int
    elapsed: float
    reason: str


@dataclass(frozen=True, slots=True)
class HedgeSuppressed(Event):
    """Copy *copy* was due and did not start; *reason* is ``budget`` or ``deadline``. What runs, runs on."""

    name: ClassVar[str] = "hedge.suppressed"
    copy: int
    elapsed: float
    reason: str


@dataclass(frozen=True, slots=True)
class HedgeWon(Event):
    """In a call with more than one copy, *copy* answered first, *elapsed* seconds into it.

    *reaped* is how long its answer then waited for the losers to end.
    """

    name: ClassVar[str] = "hedge.won"
    copy: int
    elapsed: float
    reaped: float


@dataclass(frozen=True, slots=True)
class HedgeLoserLingers(Event):
    """Copy *copy* still runs, *waited* seconds after the race was decided and it was cancelled; the outcome waits.

    Told once in a race, when the grace is over, for each such copy.
    """

    name: ClassVar[str] = "hedge.loser_lingers"
    copy: int
    waited: float
