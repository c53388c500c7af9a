"""When a circuit opens: by failures in a row, or by shares of the calls in a sliding window. Pure."""

from typing import Protocol

from longrun.circuit.settings import Settings
from longrun.circuit.window import Window


class Tally(Protocol):
    """Counts ended calls and says when they are too bad."""

    @property
    def calls(self) -> int:
        """Calls counted."""
        ...

    @property
    def failures(self) -> int:
        """... of which failed."""
        ...

    @property
    def slow(self) -> int:
        """... of which were slow."""
        ...

    def add(self, now: float, failed: bool, slow: bool) -> bool:
        """One call ended at *now*; whether the circuit is to open."""
        ...

    def reason(self) -> str:
        """What was too bad, in words."""
        ...

    def slide(self, now: float) -> None:
        """Forget what is too old at *now*."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


class Streak:
    """Consecutive mode: *threshold* bad calls in a row. A slow call is a bad one."""

    __slots__ = ("failures", "slow", "threshold")

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        self.clear()

    @property
    def calls(self) -> int:
        """The length of the streak."""
        return self.failures

    def clear(self) -> None:
        self.failures = self.slow = 0

    def slide(self, now: float) -> None:
        """A streak has no age."""

    def add(self, now: float, failed: bool, slow: bool) -> bool:  # noqa: ARG002 - only the window asks when
        if not (failed or slow):
            self.failures = self.slow = 0
            return False
        self.failures += 1
        self.slow += slow
        return self.failures >= self.threshold

    def reason(self) -> str:
        slow = f", {self.slow} of them slow" if self.slow else ""
        return f"{self.failures} failures in a row{slow}"


class Shares:
    """Rate mode: a share of failures, or of slow calls, among at least *minimum* calls in the window."""

    __slots__ = ("_failure_rate", "_minimum", "_slow_call", "_slow_rate", "_window")

    def __init__(self, settings: Settings) -> None:
        self._window = Window(settings.window)
        self._minimum = settings.minimum
        self._failure_rate = settings.failure_rate
        self._slow_call = settings.slow_call
        self._slow_rate = settings.slow_rate

    @property
    def calls(self) -> int:
        return self._window.calls

    @property
    def failures(self) -> int:
        return self._window.failures

    @property
    def slow(self) -> int:
        return self._window.slow

    def clear(self) -> None:
        self._window.clear()

    def slide(self, now: float) -> None:
        self._window.slide(now)

    def add(self, now: float, failed: bool, slow: bool) -> bool:
        window = self._window
        window.add(now, failed, slow)
        return (window.failures > 0 or window.slow > 0) and window.calls >= self._minimum and self._too_bad()

    def reason(self) -> str:
        window = self._window
        if self._too_many_failures():
            return f"{window.failures} of {window.calls} calls failed within {window.length:g} s"
        return f"{window.slow} of {window.calls} calls took {self._slow_call:g} s or longer within {window.length:g} s"

    def _too_bad(self) -> bool:
        # A success is asked too: it can be the call that completes the minimum.
        return self._too_many_failures() or (
            self._slow_call is not None and self._window.slow >= self._slow_rate * self._window.calls
        )

    def _too_many_failures(self) -> bool:
        return self._window.failures >= self._failure_rate * self._window.calls


def tally_for(settings: Settings) -> Tally:
    """The tally that *settings* ask for."""
    return Shares(settings) if settings.threshold is None else Streak(settings.threshold)
