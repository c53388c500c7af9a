"""What a circuit says about itself, by value."""

from collections.abc import Hashable
from dataclasses import dataclass

from longrun.circuit.states import State


@dataclass(frozen=True, slots=True)
class Change:
    """The circuit went from *before* to *after*. *wait*: seconds until the first probe, where it opened."""

    before: State
    after: State
    reason: str
    key: Hashable = None
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call is told that asks to be let in: its *generation*, or 0 and when to come again.

    A call carries its generation until it reports; the report counts only while the circuit still is in that
    generation. *change* is a transition that the question brought about.
    """

    generation: int
    retry_after: float | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """A circuit at one moment. *calls*, *failures* and *slow* are those that its next decision is taken from.

    They cover the window, or in consecutive mode the streak of bad calls, and begin anew with each state.
    """

    name: str
    key: Hashable
    state: State
    reason: str
    """Why it is in this state."""
    seconds: float
    """How long it has been in this state."""
    retry_after: float | None
    """Seconds until the next probe while open; None in every other state."""
    calls: int
    failures: int
    slow: int
    rejected: int
    """Calls refused since the circuit was made."""
    probing: int
    """Probes in flight."""
    successes: int
    """Probes of this round that succeeded."""
    openings: int
    """How often it opened in a row without having closed."""

    @property
    def failure_rate(self) -> float:
        """Share of failed calls, 0.0 without any."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def slow_rate(self) -> float:
        """Share of slow calls, 0.0 without any."""
        return self.slow / self.calls if self.calls else 0.0
