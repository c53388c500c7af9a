"""Stall: when a run counts as stalled, and what a domain may have done about it. Plain data."""

import inspect
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from orchestrator.contracts.checks import positive
from orchestrator.contracts.errors import SpecError


class StalledRun(Protocol):
    """A stalled run as it stands. Seconds of this attempt; waits between attempts do not count."""

    @property
    def id(self) -> str:
        """Unique id of the run."""
        ...

    @property
    def task(self) -> str:
        """The unit that it belongs to."""
        ...

    @property
    def attempt(self) -> int:
        """Counts from 1."""
        ...

    @property
    def elapsed(self) -> float:
        """Since the attempt began."""
        ...

    @property
    def idle_for(self) -> float:
        """Since the last ``run.progress()``, or since the start."""
        ...

    @property
    def left(self) -> float:
        """Until its deadline."""
        ...

    @property
    def note(self) -> str | None:
        """What the last progress said."""
        ...

    @property
    def nudges(self) -> int:
        """How often it was nudged."""
        ...

    @property
    def extensions(self) -> int:
        """How often it was extended."""
        ...


@dataclass(frozen=True, slots=True)
class Nudge:
    """Leave the run alone, and let it and the log have *message*."""

    message: str


@dataclass(frozen=True, slots=True)
class ExtendBy:
    """Let the run go on for *seconds* from now, if its ceiling allows."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Kill:
    """End the run; *reason* is told. It beats whatever is decided beside it."""

    reason: str


Verdict: TypeAlias = "Nudge | ExtendBy | Kill | Sequence[Nudge | ExtendBy | Kill] | None"

#: Asked about a stalled run; None and () let it go on until its deadline.
Escalate: TypeAlias = Callable[[StalledRun], Awaitable[Verdict]]


@dataclass(frozen=True, slots=True)
class Stall:
    """When a run counts as stalled and what is done about it. Plain data; the scheduler builds the critic.

    *expected*: seconds a run normally takes; past it the run is late. *idle*: seconds without ``run.progress()``.
    The run is ended at *backstop* x *expected* unless extended, and never later than *ceiling* seconds.
    *escalate*: ``"kill"`` at once, ``"extend_once"`` by *extend_by* seconds, or an async callable that decides, asked
    again every *tick* seconds while the run is stalled; it may have a method ``forget(run_id)`` for the end of a run
    that has stalled.
    """

    expected: float
    idle: float | None = None
    backstop: float = 2.0
    ceiling: float | None = None
    escalate: Literal["kill", "extend_once"] | Escalate = "kill"
    extend_by: float | None = None
    tick: float = 1.0

    def __post_init__(self) -> None:
        positive("Stall.expected", self.expected)
        if self.expected > sys.float_info.max / 2:
            raise SpecError(f"Stall.expected is {self.expected!r}: twice that is no number any more; give less")
        positive("Stall.tick", self.tick)
        for name in ("idle", "ceiling", "extend_by"):
            if getattr(self, name) is not None:
                positive(f"Stall.{name}", getattr(self, name))
        if self.ceiling is not None and self.ceiling <= self.expected:
            raise SpecError(
                f"Stall.ceiling is {self.ceiling!r} and expected is {self.expected!r}: no run would ever be late; give "
                "a ceiling above expected, or use timeout"
            )
        if isinstance(self.backstop, bool) or not isinstance(self.backstop, int | float):
            raise SpecError(f"Stall.backstop is {self.backstop!r}; give a number above 1, a multiple of expected")
        if self.escalate not in ("kill", "extend_once") and not callable(self.escalate):
            raise SpecError(f"Stall.escalate is {self.escalate!r}; use 'kill', 'extend_once' or an async callable")
        if inspect.iscoroutinefunction(getattr(self.escalate, "forget", None)):
            raise SpecError(f"Stall.escalate is {self.escalate!r}: its forget is async; make it a plain function")
        if self.escalate == "extend_once" and self.extend_by is None:
            raise SpecError("Stall.escalate is 'extend_once' but extend_by is not set; give the seconds to extend by")
        if self.extend_by is not None and self.idle is None:
            meant = 1 < self.backstop <= sys.float_info.max
            allowed = (self.backstop - 1 if meant else 1.0) * self.expected
            if self.extend_by <= allowed:
                raise SpecError(
                    f"Stall.extend_by is {self.extend_by!r}, but a run that has become late may go on for "
                    f"{allowed:g} s in any case (expected x (backstop - 1)); give more, or leave it out"
                )
