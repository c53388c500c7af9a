"""Events of circuits: one for each transition and one for each refused call, on the stream of the pipeline."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from longrun.circuit.states import State
from longrun.circuit.values import Change
from longrun.events import Event


@dataclass(frozen=True, slots=True)
class CircuitEvent(Event):
    """Something happened to the circuit *circuit*; *key* tells which one where there is one for each key.

    It went from *before* to *state* because of *reason*.
    """

    circuit: str
    key: Hashable
    before: State
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class CircuitOpened(CircuitEvent):
    """Calls are refused from now on: for *wait* seconds, or until an operator resets the circuit (None)."""

    name: ClassVar[str] = "circuit.opened"
    wait: float | None


@dataclass(frozen=True, slots=True)
class CircuitHalfOpened(CircuitEvent):
    """The open time is over: probes are let in."""

    name: ClassVar[str] = "circuit.half_opened"


@dataclass(frozen=True, slots=True)
class CircuitClosed(CircuitEvent):
    """Calls run again."""

    name: ClassVar[str] = "circuit.closed"


@dataclass(frozen=True, slots=True)
class CircuitBypassed(CircuitEvent):
    """An operator has the circuit let everything through: *state* is ``disabled`` or ``metrics_only``."""

    name: ClassVar[str] = "circuit.bypassed"


@dataclass(frozen=True, slots=True)
class CircuitRejected(Event):
    """A call was refused in *state*; *retry_after* as on the :class:`longrun.CircuitOpen` that it got."""

    name: ClassVar[str] = "circuit.rejected"
    circuit: str
    key: Hashable
    state: State
    retry_after: float | None


def event_of(change: Change, subject: str, circuit: str) -> CircuitEvent:
    """The event that tells *change* of *circuit* to the listeners of *subject*."""
    what = (subject, circuit, change.key, change.before, change.after, change.reason)
    match change.after:
        case "open" | "forced_open":
            return CircuitOpened(*what, change.wait)
        case "half_open":
            return CircuitHalfOpened(*what)
        case "closed":
            return CircuitClosed(*what)
        case "disabled" | "metrics_only":
            return CircuitBypassed(*what)
