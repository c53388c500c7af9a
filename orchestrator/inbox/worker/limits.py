"""Limits by type: how many runs at a time in this process, how many in the whole database, how many per time."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.inbox.errors import InvalidHandler

#: Seconds by which a sum of floats, or a timer, may bring a start ahead of its instant.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Rate:
    """At most *times* starts in any *seconds*, in each process that works: ``Rate(10, 60)``. They may come at once."""

    times: int
    seconds: float

    def __post_init__(self) -> None:
        if isinstance(self.times, bool) or not isinstance(self.times, int) or self.times < 1:
            raise InvalidHandler(f"Rate times is {self.times!r}; give a whole number above 0")
        number = isinstance(self.seconds, int | float) and not isinstance(self.seconds, bool)
        if not number or not math.isfinite(self.seconds) or self.seconds <= 0:
            raise InvalidHandler(f"Rate seconds is {self.seconds!r}; give seconds above 0")


@dataclass(frozen=True, slots=True)
class Limit:
    """What limits one type. *concurrency*: in this process. *total*: of all workers on the database."""

    concurrency: int | None = None
    total: int | None = None
    rate: Rate | None = None


class _Gauge:
    """One limited type in this process: pure arithmetic.

    A rate counts starts, and what was claimed and has not started yet as well: it may do so at any moment.
    """

    __slots__ = ("_limit", "_starts", "_unstarted", "held", "left_behind")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._starts: deque[float] = deque()
        self._unstarted = 0
        self.held = 0
        self.left_behind = False
        """The last claim took as many as this process allows, so there may be more."""

    def cap(self, now: float) -> float:
        """How many may be claimed now; ``inf`` when nothing of this process limits them."""
        cap = math.inf if self._limit.concurrency is None else max(0, self._limit.concurrency - self.held)
        rate = self._limit.rate
        if rate is None:
            return cap
        while self._starts and self._starts[0] + rate.seconds <= now + ROUNDING:
            self._starts.popleft()
        return min(cap, max(0, rate.times - len(self._starts) - self._unstarted))

    def take(self) -> None:
        self.held += 1
        self._unstarted += 1

    def start(self, now: float) -> None:
        self._unstarted -= 1
        if self._limit.rate is not None:
            self._starts.append(now)

    def end(self, *, started: bool) -> bool:
        """Whether that makes room for one that was left behind; of a total, nobody here knows what was."""
        self.held -= 1
        if not started:
            self._unstarted -= 1
        return self.left_behind or self._limit.total is not None

    def free_at(self, now: float) -> float:
        """When the rate lets the next one start; ``inf`` when it is something else that is waited for."""
        rate, concurrency = self._limit.rate, self._limit.concurrency
        if rate is None or (concurrency is not None and self.held >= concurrency):
            return math.inf
        if self.cap(now) > 0:
            return now
        return (self._starts[0] if self._starts else now) + rate.seconds


class Limits:
    """What may be claimed now, of the types that have a limit. *now* is an instant of the event loop's clock."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._gauges = {kind: _Gauge(limit) for kind, limit in limits.items()}
        self.totals = {kind: limit.total for kind, limit in limits.items() if limit.total is not None}

    def caps(self, now: float) -> dict[str, int]:
        """How many of each limited type may be claimed, as far as this process decides it."""
        caps = ((kind, gauge.cap(now)) for kind, gauge in self._gauges.items())
        return {kind: int(cap) for kind, cap in caps if cap < math.inf}

    def claimed(self, counts: Mapping[str, int], caps: Mapping[str, int]) -> None:
        """So many of each type were claimed under *caps*."""
        for kind, gauge in self._gauges.items():
            count = counts.get(kind, 0)
            for _ in range(count):
                gauge.take()
            gauge.left_behind = count >= caps.get(kind, math.inf)

    def started(self, kind: str, now: float) -> None:
        """The handler of one of them starts."""
        gauge = self._gauges.get(kind)
        if gauge is not None:
            gauge.start(now)

    def ended(self, kind: str, *, started: bool) -> bool:
        """One of them is held no more; whether that makes room for one that was left behind."""
        gauge = self._gauges.get(kind)
        return gauge is not None and gauge.end(started=started)

    def next_at(self, now: float) -> float:
        """When a rate lets something start that was left behind; ``inf`` when nothing waits for a rate."""
        waits = (gauge.free_at(now) for gauge in self._gauges.values() if gauge.left_behind)
        return min(waits, default=math.inf)

    def __bool__(self) -> bool:
        return bool(self._gauges)
