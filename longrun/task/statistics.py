"""Statistics of a runner: counted always, so cheap that nobody has to turn them off."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

#: Upper bounds in seconds of the histogram of lateness; a last bucket holds what is later still.
LATENESS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)


@dataclass(frozen=True, slots=True)
class RunnerStatistics:
    """A runner by value. Counts since it began; seconds where nothing else is said.

    *tasks*, *running*, *queued* and *stuck* are of this moment. *attempts* end as *succeeded*, *failed* or *cancelled*;
    *timed_out* and *killed* are among the failed ones. *skipped*: points of grids that passed unused, by reason.
    *lateness*: attempts by how late they started, one count for each bound of ``LATENESS`` and one for the rest;
    *latest* is the worst. *blocked*: how long the event loop stood still in all, *blocks* how often.
    """

    tasks: int
    running: int
    queued: int
    stuck: int
    attempts: int
    succeeded: int
    failed: int
    cancelled: int
    timed_out: int
    killed: int
    skipped: Mapping[str, int]
    lateness: tuple[int, ...]
    latest: float
    blocked: float
    blocks: int


class Tally:
    """The counts behind :class:`RunnerStatistics`; touched by its runner only."""

    __slots__ = ("attempts", "blocked", "blocks", "cancelled", "failed", "killed", "lateness", "latest", "skipped",
                 "stuck", "succeeded", "timed_out")  # fmt: skip

    def __init__(self) -> None:
        self.attempts = self.succeeded = self.failed = self.cancelled = self.timed_out = self.killed = self.stuck = 0
        self.skipped: Counter[str] = Counter()
        self.lateness = [0] * (len(LATENESS) + 1)
        self.latest = self.blocked = 0.0
        self.blocks = 0

    def started(self, late: float) -> None:
        """An attempt starts *late* seconds after it was due."""
        self.attempts += 1
        self.lateness[bisect_left(LATENESS, late)] += 1
        if late > self.latest:
            self.latest = late

    def statistics(self, tasks: int, running: int, queued: int) -> RunnerStatistics:
        """All by value."""
        return RunnerStatistics(
            tasks=tasks,
            running=running,
            queued=queued,
            stuck=self.stuck,
            attempts=self.attempts,
            succeeded=self.succeeded,
            failed=self.failed,
            cancelled=self.cancelled,
            timed_out=self.timed_out,
            killed=self.killed,
            skipped=dict(self.skipped),
            lateness=tuple(self.lateness),
            latest=self.latest,
            blocked=self.blocked,
            blocks=self.blocks,
        )
