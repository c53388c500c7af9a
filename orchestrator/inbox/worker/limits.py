"""Limits by type: how many runs at a time in this process, how many in the whole database, how many per time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from longrun.ratelimit.gcra import Gcra
from orchestrator.inbox.errors import InvalidHandler


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
    """One limited type in this process: pure arithmetic."""

    __slots__ = ("_arrival", "_bucket", "_limit", "held", "saturated")

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        rate = limit.rate
        self._bucket = None if rate is None else Gcra(rate.seconds / rate.times, rate.times)
        self._arrival = -math.inf
        self.held = 0
        self.saturated = False

    def cap(self, now: float) -> float:
        """How many may start now; ``inf`` when nothing of this process limits them."""
        cap = math.inf if self._limit.concurrency is None else max(0, self._limit.concurrency - self.held)
        return cap if self._bucket is None else min(cap, self._bucket.tokens(self._arrival, now))

    def take(self, now: float) -> None:
        self.held += 1
        if self._bucket is not None:
            self._arrival = self._bucket.take(self._arrival, now)

    def free_at(self, now: float) -> float:
        """When the rate lets the next one start; ``inf`` when it is something else that is waited for."""
        concurrency = self._limit.concurrency
        if self._bucket is None or (concurrency is not None and self.held >= concurrency):
            return math.inf
        return now + self._bucket.wait(self._arrival, now)


class Limits:
    """What may be claimed now, of the types that have a limit. *now* is an instant of the event loop's clock."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._gauges = {kind: _Gauge(limit) for kind, limit in limits.items()}
        self.totals = {kind: limit.total for kind, limit in limits.items() if limit.total is not None}

    def caps(self, now: float) -> dict[str, int]:
        """How many of each limited type may be claimed, as far as this process decides it."""
        caps = ((kind, gauge.cap(now)) for kind, gauge in self._gauges.items())
        return {kind: int(cap) for kind, cap in caps if cap < math.inf}

    def claimed(self, counts: Mapping[str, int], caps: Mapping[str, int], now: float) -> None:
        """So many of each type were claimed under *caps*."""
        for kind, gauge in self._gauges.items():
            count = counts.get(kind, 0)
            for _ in range(count):
                gauge.take(now)
            gauge.saturated = kind in self.totals or count >= caps.get(kind, math.inf)

    def ended(self, kind: str) -> bool:
        """One of them is held no more; whether that makes room for one that was left behind."""
        gauge = self._gauges.get(kind)
        if gauge is None:
            return False
        gauge.held -= 1
        return gauge.saturated

    def next_at(self, now: float) -> float:
        """When a rate lets something start that was left behind; ``inf`` when nothing waits for a rate."""
        waits = (gauge.free_at(now) for gauge in self._gauges.values() if gauge.saturated)
        return min(waits, default=math.inf)

    def __bool__(self) -> bool:
        return bool(self._gauges)
