"""Limiter: the state that the calls through one adaptive limit share. Pure: ``now`` and chance come in.

    every window that was enough
      ┌───────────┐
      ▼           │  so many windows with more than half of the limit in use
┌──────────┐──────┘          ┌─────────┐
│ LEARNING │ ──────────────▶ │ PROBING │  at a quarter of the limit
└──────────┘ ◀────────────── └─────────┘
      the first ten calls that began in the probe have ended, or time is up
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias

from longrun.shed.gradient import (
    FIRST_PROBE,
    JITTER,
    SAMPLES,
    SHORTEST,
    Bounds,
    Estimate,
    Sample,
    agrees,
    enough,
    next_interval,
    probe_limit,
    revised,
    room,
    unloaded,
    window_length,
)

Draw: TypeAlias = Callable[[], float]

#: Seconds between two reports of a changed limit: it moves every second while a service is in trouble. Ours.
REPORT_EVERY = 5.0

#: A probe that has not seen its calls end is over after so many latencies: what ran before has to drain, and at the
#: lowest limits its calls run one after the other. Ours.
PROBE_LATENCIES = SAMPLES + 4


@dataclass(frozen=True, slots=True)
class AdaptiveStatistics:
    """A moment of an adaptive limit. *room* is how many calls of each priority it lets run; less while *probing*.

    *latency* (the latest window) and *baseline* (without queueing) are means in seconds, 0.0 before the first measure.
    """

    limit: int
    in_flight: int
    room: tuple[int, ...]
    probing: bool
    latency: float
    baseline: float


@dataclass(frozen=True, slots=True)
class Change:
    """The limit has changed since the last report."""

    old: int
    new: int
    latency: float
    baseline: float


class Limiter:
    """Permits, and the window of calls that the limit learns from. Every permit goes back exactly once: ``release``,
    ``finish`` or ``drop``."""

    __slots__ = (
        "_began", "_bounds", "_calls", "_cohort", "_drops", "_ends", "_estimate", "_interval", "_latency", "_lock",
        "_most", "_needed", "_probing", "_reported", "_reported_at", "_room", "_total", "_until_probe", "in_flight",
    )  # fmt: skip

    def __init__(self, initial: int, bounds: Bounds) -> None:
        self._lock = Lock()
        self._bounds = bounds
        self._estimate = Estimate(float(initial))
        self._latency = 0.0
        self._interval = FIRST_PROBE
        self._until_probe = float(FIRST_PROBE)
        self._probing = False
        self._began = 0.0
        self._reported = initial
        self._reported_at = float("-inf")
        self.in_flight = 0
        self._calls = self._drops = self._most = self._cohort = 0
        self._total = 0.0
        self._learn(0.0)

    def admit(self, at: float, rank: int) -> int:
        """A ticket, to be handed back; 0 for a call that is refused. How many calls run now, this one included; with a
        minus sign for the ones that a probe measures."""
        with self._lock:
            if self.in_flight >= self._room[rank]:
                if not self._probing or at < self._ends:
                    return 0
                self._finish_probe(at, 0.0)  # calls that do not end must not keep the limit down
                if self.in_flight >= self._room[rank]:
                    return 0
            self.in_flight += 1
            if self._probing and self._cohort < SAMPLES:
                self._cohort += 1
                return -self.in_flight
            return self.in_flight

    def release(self, began: float, ticket: int) -> None:
        """A call was cancelled, or its failure says nothing: only its permit goes back."""
        with self._lock:
            self.in_flight -= 1
            if ticket < 0 and self._probing and began >= self._began:
                self._cohort -= 1

    def finish(self, began: float, at: float, ticket: int, draw: Draw) -> Change | None:
        """A call has returned. *draw* gives chance from [0, 1). A change worth telling."""
        with self._lock:
            self.in_flight -= 1
            if self._probing and (ticket > 0 or began < self._began):
                return None
            self._calls += 1
            self._total += at - began
            beside = abs(ticket)
            if beside > self._most:
                self._most = beside
            if self._calls + self._drops < self._needed or (at < self._ends and not self._probing):
                return None
            return self._close(at, draw())

    def drop(self, began: float, at: float, ticket: int, draw: Draw) -> Change | None:
        """A call was a sign of overload. A change worth telling."""
        with self._lock:
            self.in_flight -= 1
            if self._probing and (ticket > 0 or began < self._began):
                return None
            self._drops += 1
            if self._calls + self._drops < self._needed or (at < self._ends and not self._probing):
                return None
            return self._close(at, draw())

    def statistics(self) -> AdaptiveStatistics:
        with self._lock:
            return AdaptiveStatistics(
                limit=int(self._estimate.limit),
                in_flight=self.in_flight,
                room=self._room,
                probing=self._probing,
                latency=self._latency,
                baseline=self._estimate.baseline or 0.0,
            )

    def _close(self, at: float, chance: float) -> Change | None:
        """The window is full."""
        if self._probing:
            self._finish_probe(at, chance)
        else:
            self._finish_window(at)
        return self._report(at)

    def _finish_window(self, at: float) -> None:
        sample = self._sample()
        before = self._estimate
        self._estimate = revised(before, sample, self._bounds)
        if sample.calls:
            self._latency = sample.latency
            # A window that shows the baseline by itself is as good as a probe, and costs nothing.
            if unloaded(sample, before.limit, self._bounds):
                self._until_probe = self._interval
            else:
                self._until_probe -= 1
        if self._until_probe <= 0 and probe_limit(self._estimate.limit, self._bounds) < int(self._estimate.limit):
            self._probe(at)
        else:
            self._learn(at)

    def _finish_probe(self, at: float, chance: float) -> None:
        sample = self._sample()
        # The quick ones of a few calls end first: a measure that misses the slow ones would be too low.
        if sample.calls + sample.drops == self._cohort > 0:
            agreed = not sample.calls or agrees(self._estimate.baseline, sample.latency)
            self._estimate = revised(self._estimate, sample, self._bounds, probe=True)
            self._interval = next_interval(self._interval, agreed)
        self._until_probe = self._interval * (1 + JITTER * chance)
        self._learn(at)

    def _learn(self, at: float) -> None:
        self._probing = False
        self._room = room(int(self._estimate.limit))
        self._open(at + window_length(self._latency), enough(self._estimate.limit))

    def _probe(self, at: float) -> None:
        self._probing = True
        self._began = at
        self._room = room(probe_limit(self._estimate.limit, self._bounds))
        self._open(at + SHORTEST + PROBE_LATENCIES * self._latency, SAMPLES)

    def _open(self, ends: float, needed: int) -> None:
        self._ends = ends
        self._needed = needed
        self._calls = self._drops = self._most = self._cohort = 0
        self._total = 0.0

    def _sample(self) -> Sample:
        latency = max(0.0, self._total / self._calls) if self._calls else 0.0
        return Sample(self._calls, latency, self._drops, self._most)

    def _report(self, at: float) -> Change | None:
        new = int(self._estimate.limit)
        if new == self._reported or at - self._reported_at < REPORT_EVERY:
            return None
        change = Change(self._reported, new, self._latency, self._estimate.baseline or 0.0)
        self._reported, self._reported_at = new, at
        return change
