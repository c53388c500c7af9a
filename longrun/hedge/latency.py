"""Latencies: a moving quantile, exact over a window of the latest samples. Pure."""

import math
from bisect import bisect_left, insort
from collections import deque
from threading import Lock

#: Samples above the quantile that the warm-up, and the window, expect to hold: with fewer it is chance what it says.
WARMUP_TAIL = 2
WINDOW_TAIL = 5
LEAST_WARMUP = 20
LEAST_WINDOW = 256


class Latencies:
    """The *quantile* of the latest latencies; safe for threads.

    The smallest sample that at least the share *quantile* of the window does not exceed (nearest rank): one of the
    samples, with no error of its own. As an estimate it has the error of chance: the true share below it lies within
    2 * sqrt(q * (1 - q) / n) of q in 19 of 20 cases, 0.95 +- 0.027 for the least window of 256.

    ``warmup`` is max(20, 2 / (1 - quantile)) samples, the window max(256, 5 / (1 - quantile)).
    """

    __slots__ = ("_full_rank", "_latest", "_lock", "_sorted", "_value", "quantile", "warmup", "window")

    def __init__(self, quantile: float) -> None:
        self.quantile = quantile
        self.warmup = max(LEAST_WARMUP, _whole(WARMUP_TAIL / (1 - quantile)))
        self.window = max(LEAST_WINDOW, _whole(WINDOW_TAIL / (1 - quantile)))
        self._latest: deque[float] = deque()
        self._sorted: list[float] = []
        self._full_rank = _rank(quantile, self.window)
        self._value: float | None = None
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._sorted)

    def record(self, seconds: float) -> None:
        """One more latency; the oldest one leaves a full window."""
        seconds = max(0.0, seconds)  # a clock that was set back
        latest, ordered = self._latest, self._sorted
        with self._lock:
            latest.append(seconds)
            insort(ordered, seconds)
            count = len(ordered)
            if count > self.window:
                del ordered[bisect_left(ordered, latest.popleft())]
                self._value = ordered[self._full_rank]
            elif count >= self.warmup:
                self._value = ordered[_rank(self.quantile, count)]

    def value(self) -> float | None:
        """The quantile in seconds; None during the warm-up."""
        return self._value  # found when it changed: calls ask for it more often than they change it


def _rank(quantile: float, count: int) -> int:
    """Where the *quantile* of *count* sorted samples stands, from 0."""
    return _whole(quantile * count) - 1


def _whole(number: float) -> int:
    """*number* rounded up, forgiving what binary fractions add: 2 / (1 - 0.95) is 40, not 41."""
    return math.ceil(round(number, 6))
