"""Gradient: how a concurrency limit follows the latency that is measured under it. Pure arithmetic.

The algorithm is Gradient2 of Netflix' concurrency-limits: the limit goes towards ``limit * gradient + queue``, where
the gradient is the latency without queueing (the baseline) divided by the latency now. Two things reported of it are
mended. Its baseline is a long average of *all* latencies, so that it takes a lasting queue for the normal state and
the limit creeps up for ever; and a limit that may not grow under such a baseline sticks at 1. Here the baseline is
measured only where our own calls cannot be queueing: while they use at most half of the limit, while the limit is at
its lowest, and in a *probe*, when a quarter of the limit holds for a few calls. A service that has really become
slower is slow in a probe too, and is believed; a queue of our own is gone in a probe, and is not.

| constant            | value  | source                                                                             |
|---------------------|--------|------------------------------------------------------------------------------------|
| initial, low, high  | 20, 1, 200 | Gradient2Limit: 20 and 200; its low is 20, failsafe-go's 1                     |
| SMOOTHING           | 0.2    | Gradient2Limit: smoothing                                                          |
| QUEUE               | 4      | Gradient2Limit: queueSize; never above sqrt(limit), which is GradientLimit's queue |
| STEEPEST            | 0.5    | Gradient2Limit: the least gradient; with SMOOTHING, AIMDLimit's backoff of 0.9     |
| TOLERANCE           | 1.25   | Envoy's adaptive concurrency: the buffer of 25 % on its minRTT; Gradient2 has 1.5  |
| half of the limit   | 0.5    | Gradient2Limit and VegasLimit: no growth while in-flight < limit / 2               |
| HOLD, SHRINK        | 2, 10 %| loss controller of draft-ietf-rmcat-gcc-02: up, hold, down by share of the lost     |
| SAMPLES             | 10     | WindowedLimit: windowSize; no more than the limit lets run at once                 |
| SHORTEST, LONGEST   | 1, 30 s| WindowedLimit: 1 s; failsafe-go: windows of 1 to 30 s, following the latency       |
| PROBE_EVERY         | 60     | Envoy: a minRTT every 60 s; here windows, and sooner while measures disagree       |
| JITTER              | 0.15   | Envoy: jitter of 15 % on that                                                      |
| DISAGREE            | 2      | Gradient2Limit: a long latency twice the short one is out of date                  |
| PROBE_PART          | 4      | ours: deep enough for a service that takes a few calls; BBR has 4 packets, Envoy 3 |
| AGEING, PROBED      | 0.1, 0.5 | ours: weight of a new measure of the baseline, seen in passing and in a probe    |
"""

import math
from dataclasses import dataclass

SMOOTHING = 0.2
QUEUE = 4.0
STEEPEST = 0.5
TOLERANCE = 1.25
HOLD = 0.02
SHRINK = 0.10
SAMPLES = 10
SHORTEST = 1.0
LONGEST = 30.0
PROBE_EVERY = 60
FIRST_PROBE = 2
JITTER = 0.15
DISAGREE = 2.0
AGEING = 0.1
PROBED = 0.5
PROBE_PART = 4

#: What a call of each priority may use of the limit, low to critical. Ours: normal calls keep most of it, and what is
#: kept for the important ones is there at once. The limit learns around it: a service full of normal calls alone gets
#: a higher limit and as much work.
SHARES = (0.6, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the limit may be."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is believed: the *limit*, and the *baseline* latency in seconds (None before the first measure)."""

    limit: float
    baseline: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A window of calls: how many ended well and in how many seconds on average, how many were dropped, and how many
    ran at once at most, each as seen by a call that began."""

    calls: int
    latency: float
    drops: int
    in_flight: int


def room(limit: int) -> tuple[int, ...]:
    """How many calls may run for one more of each priority to be let in; at least one of each when nothing runs."""
    return tuple(math.ceil(limit * share) for share in SHARES)


def probe_limit(limit: float, bounds: Bounds) -> int:
    """The limit of a probe. Where it is not below the limit, nothing needs a probe: every window shows the baseline."""
    return max(bounds.low, int(limit) // PROBE_PART)


def enough(limit: float) -> int:
    """How many calls make a window."""
    return min(SAMPLES, max(1, int(limit)))


def window_length(latency: float) -> float:
    """Seconds that a window lasts at least: one latency, so that the limit does not run ahead of what it causes."""
    return min(LONGEST, max(SHORTEST, latency))


def unloaded(sample: Sample, limit: float, bounds: Bounds) -> bool:
    """Whether the calls of *sample* cannot have queued behind one another, as far as this limit can tell."""
    return sample.in_flight <= max(bounds.low, limit / 2)


def aged(baseline: float | None, sample: Sample, *, quiet: bool, probe: bool) -> float | None:
    """The baseline after *sample*: an average of latencies without queueing; what was faster has not queued either."""
    if not sample.calls:
        return baseline
    if baseline is None:
        return sample.latency
    if probe:
        return baseline + (sample.latency - baseline) * PROBED
    if quiet or sample.latency < baseline:
        return baseline + (sample.latency - baseline) * AGEING
    return baseline


def agrees(baseline: float | None, latency: float) -> bool:
    """Whether a measure of the baseline is what was believed, roughly."""
    return baseline is not None and baseline <= latency * DISAGREE and latency <= baseline * DISAGREE


def next_interval(interval: int, agreed: bool) -> int:
    """Windows until the probe after next: soon again while measures disagree, else twice as long as before."""
    return min(PROBE_EVERY, interval * 2) if agreed else FIRST_PROBE


def revised(estimate: Estimate, sample: Sample, bounds: Bounds, *, probe: bool = False) -> Estimate:
    """What is believed after *sample*. The limit stays within *bounds*."""
    limit = estimate.limit
    baseline = aged(estimate.baseline, sample, quiet=unloaded(sample, limit, bounds), probe=probe)
    lost = sample.drops / max(1, sample.calls + sample.drops)
    if lost > SHRINK:
        towards = limit * STEEPEST
    elif probe or not sample.calls or baseline is None or sample.in_flight < limit / 2:
        towards = limit
    else:
        towards = limit * _gradient(baseline, sample.latency) + min(QUEUE, math.sqrt(limit))
        if lost > HOLD:
            towards = min(limit, towards)
    following = limit + (towards - limit) * SMOOTHING
    return Estimate(min(float(bounds.high), max(float(bounds.low), following)), baseline)


def _gradient(baseline: float, latency: float) -> float:
    if latency <= 0:
        return 1.0
    return max(STEEPEST, min(1.0, TOLERANCE * baseline / latency))
