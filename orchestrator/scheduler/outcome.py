"""What the phases came to. Cancelled is not passed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

PhaseStatus: TypeAlias = Literal["passed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class PreflightFailure:
    """A preflight that did not pass: *reason* says why it was not tried (again)."""

    id: str
    error: BaseException | None
    reason: str

    def __str__(self) -> str:
        if self.error is None:
            return f"{self.id}: {self.reason}"
        return f"{self.id}: {described(self.error)} [{self.reason}]"


@dataclass(frozen=True, slots=True)
class PhaseOutcome:
    """Phase 1 as it ended.

    *failures* failed for good; *pending* were still failing, or still running, when the phase ended; *never_started*
    counts those that had no attempt at all. *quarantined* names the tenants (module, tenant) that are left out.
    """

    status: PhaseStatus
    reason: str | None = None
    passed: int = 0
    failures: tuple[PreflightFailure, ...] = ()
    pending: tuple[PreflightFailure, ...] = ()
    never_started: int = 0
    quarantined: frozenset[tuple[str, str]] = frozenset()

    def lines(self) -> Iterator[str]:
        """The report: one line for each preflight that did not pass, and the counts."""
        counts = [f"{self.passed} passed"]
        for count, what in (
            (len(self.failures), "failed"),
            (len(self.pending), "still failing"),
            (self.never_started, "never started"),
        ):
            if count:
                counts.append(f"{count} {what}")
        yield f"preflights {self.status}: {', '.join(counts)}" + (f" ({self.reason})" if self.reason else "")
        for failure in self.failures:
            yield f"  failed         {failure}"
        for failure in self.pending:
            yield f"  still failing  {failure}"


@dataclass(frozen=True, slots=True)
class ServiceOutcome:
    """A whole life of the service; *exit_code* is what its process ends with."""

    preflights: PhaseOutcome
    reason: str | None = None
    died: tuple[PreflightFailure, ...] = ()
    abandoned: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 finished or drained, 1 a preflight failed or a worker died, 3 cancelled in phase 1, 4 runs abandoned."""
        if self.abandoned:
            return 4
        if self.preflights.status == "cancelled":
            return 3
        return 1 if self.preflights.status == "failed" or self.died else 0


def described(error: BaseException) -> str:
    """The type and the text of *error* in one line, so that a report stays one line for each failure."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
