"""What a poller has counted, by type of intent: plain numbers, cheap to keep and to read at any time."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.inbox.store.records import Failed, Outcome, Stats, Succeeded

#: Upper bounds of the pickup histogram, in seconds: from a woken poller to a long backlog.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


@dataclass(slots=True)
class Histogram:
    """How many values are at most each bound of *BUCKETS*, and above the last; their number and sum."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    count: int = 0
    sum: float = 0.0

    def add(self, value: float) -> None:
        """One more value."""
        self.buckets[bisect_left(BUCKETS, value)] += 1
        self.count += 1
        self.sum += value


@dataclass(frozen=True, slots=True)
class Sample:
    """The queue as it stood at *taken_at*: what has not ended. *oldest_due*: since when the longest waiting is due."""

    stats: Stats
    taken_at: datetime

    @property
    def oldest_age(self) -> float:
        """Seconds that the longest waiting due run has waited; 0 when none waits."""
        oldest = self.stats.oldest_due
        return 0.0 if oldest is None else max(0.0, (self.taken_at - oldest).total_seconds())


@dataclass(slots=True)
class Statistics:
    """Counters by type; those of the poll cycles and their errors for all. They only rise."""

    claimed: Counter[str] = field(default_factory=Counter)
    completed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By type and status: succeeded, failed, released, refused (the lease was lost), dropped (no database)."""
    failed_attempts: Counter[str] = field(default_factory=Counter)
    """Executions that failed, the last ones included."""
    dead_lettered: Counter[str] = field(default_factory=Counter)
    """Runs that will not be tried again."""
    abandoned: Counter[str] = field(default_factory=Counter)
    """Handlers that ignored their cancellation."""
    cycles: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Of the database, by the name of their class."""
    pickup: dict[str, Histogram] = field(default_factory=dict)
    """Seconds from when a run was due to when its handler started."""
    sample: Sample | None = None
    """What :meth:`Poller.sample` found last."""
    picked_up: Callable[[str, float], None] | None = None
    """Also told of each pickup, for a histogram elsewhere."""

    def started(self, kind: str, waited: float) -> None:
        """A handler starts, *waited* seconds after its run was due."""
        histogram = self.pickup.get(kind)
        if histogram is None:
            histogram = self.pickup[kind] = Histogram()
        histogram.add(waited)
        if self.picked_up is not None:
            self.picked_up(kind, waited)

    def settled(self, kind: str, outcome: Outcome) -> None:
        """The outcome of an execution is stored."""
        if isinstance(outcome, Succeeded):
            self.completed[kind, "succeeded"] += 1
        elif isinstance(outcome, Failed):
            self.failed_attempts[kind] += 1
            if outcome.retry_in is None:
                self.completed[kind, "failed"] += 1
                self.dead_lettered[kind] += 1
        else:
            self.completed[kind, "released"] += 1
