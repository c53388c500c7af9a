"""What a CronRunner is given and what it hands back: values only."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

#: ran: ran and marked · failed: the run or its claim raised · unmarked: ran, the mark raised · refused: no usable next
#: fire · lost: another runner has the claim · waiting: backs off after a failure · overlapping: its last run still goes
#: on · repeated: the host named it twice in one pass · cancelled: cut off with the runner
Result: TypeAlias = Literal[
    "ran", "failed", "unmarked", "refused", "lost", "waiting", "overlapping", "repeated", "cancelled"
]


@dataclass(frozen=True, slots=True)
class DueJob:
    """A job that is due: its expression *cron*, and the stored moment *fire_at* at which it was to fire."""

    id: str
    cron: str
    fire_at: datetime


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What became of one job of a pass; *error* where there is one."""

    id: str
    result: Result
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class PassReport:
    """One pass at *now*: what became of each job that the host named, in the order in which it became certain."""

    now: datetime
    due: int
    outcomes: tuple[JobOutcome, ...]

    def ids(self, result: Result) -> tuple[str, ...]:
        """The jobs of which that became."""
        return tuple(outcome.id for outcome in self.outcomes if outcome.result == result)

    def __str__(self) -> str:
        counts = Counter(outcome.result for outcome in self.outcomes)
        told = ", ".join(f"{count} {result}" for result, count in counts.items()) or "nothing to do"
        return f"{self.due} due: {told}"


@dataclass(frozen=True, slots=True)
class CronStatistics:
    """Counts since the runner was made, and how it stands now: *running* and *failing* are numbers of jobs."""

    passes: int = 0
    passes_failed: int = 0
    due: int = 0
    ran: int = 0
    failed: int = 0
    unmarked: int = 0
    refused: int = 0
    lost: int = 0
    waiting: int = 0
    overlapping: int = 0
    repeated: int = 0
    cancelled: int = 0
    running: int = 0
    failing: int = 0
    last_pass: datetime | None = None


@dataclass(slots=True)
class Tally:
    """A report in the making."""

    now: datetime
    due: int
    outcomes: list[JobOutcome] = field(default_factory=list)

    def report(self) -> PassReport:
        """What is known by now."""
        return PassReport(self.now, self.due, tuple(self.outcomes))
