"""Load shedding: refuse calls early, so that those that are let in succeed.

``adaptive`` limits how many run at once by what their latency shows; ``throttle`` refuses as many as the other side
does not accept; ``on_latency`` refuses while the latest calls are slow. All three raise :class:`longrun.Shed`, never
wait, and shed calls of low :func:`priority` first. Put them outside of retries, so that a call is refused as a whole,
and outside of ``timeout.after``: what a limit above them cuts off is a cancellation, which counts as nothing.

A named option shares its state with all options of that name in the process; an unnamed one belongs to its pipeline.
"""

from longrun.durations import Duration, seconds
from longrun.shed.adapting import Adaptive, AdaptiveSettings
from longrun.shed.events import CallShed, LimitChanged
from longrun.shed.latency import LatencySettings, LatencyStatistics, OnLatency
from longrun.shed.limiter import AdaptiveStatistics
from longrun.shed.pressure import On, overload
from longrun.shed.priorities import PRIORITIES, Priority, priority
from longrun.shed.throttling import Throttle, ThrottleSettings, ThrottleStatistics

__all__ = [
    "PRIORITIES",
    "AdaptiveStatistics",
    "CallShed",
    "LatencyStatistics",
    "LimitChanged",
    "Priority",
    "ThrottleStatistics",
    "adaptive",
    "on_latency",
    "overload",
    "priority",
    "throttle",
]


def adaptive(*, initial: int = 20, low: int = 1, high: int = 200, name: str | None = None, on: On = None) -> Adaptive:
    """Limit how many calls run at once, starting with *initial*, by what their latency shows: see ``shed.gradient``.

    Calls above the limit are refused with :class:`longrun.Shed`. The limit grows while latency stays at its baseline
    and at least half of it is in use; it shrinks when calls queue on the other side, or are dropped: *on* says which
    failures those are (default :func:`overload`). Other failures and cancelled calls teach it nothing. Every minute or
    so, under load, a quarter of the limit holds for a few calls to measure the latency without queueing.

    PipelineError for a limit below 1, and unless low <= initial <= high.
    """
    return Adaptive(AdaptiveSettings(initial, low, high, on), name)


def throttle(
    *,
    k: float = 2.0,
    window: Duration = 120.0,
    name: str | None = None,
    max_rejection: float = 0.9,
    minimum: int = 10,
    on: On = None,
) -> Throttle:
    """Refuse calls with probability max(0, (requests - k * accepts) / (requests + 1)), at most *max_rejection*.

    Counted over the last *window* seconds (two minutes, K = 2: "Site Reliability Engineering", chapter 21). Make the
    window much longer than the slowest calls take. A call counts before it is sent; while it is under way it counts
    neither way for its first 5 to 10 seconds (1/24 to 1/12 of the window), so that a burst does not refuse itself.
    Below *minimum* requests nothing is refused. *on* says which failures mean "not accepted" (default
    :func:`overload`). *max_rejection* keeps some calls going (0.9 as failsafe-go), by which recovery is seen.

    Raises :class:`longrun.Shed` for a refused call; PipelineError for a k that is not above 1, ValueError for a window
    that is no duration.
    """
    return Throttle(ThrottleSettings(k, seconds(window, "shed.throttle window"), max_rejection, minimum, on), name)


def on_latency(
    limit: Duration,
    *,
    window: Duration = 10.0,
    name: str | None = None,
    quantile: float = 0.9,
    minimum: int = 10,
    max_rejection: float = 0.9,
) -> OnLatency:
    """Refuse calls while the latency at *quantile*, over the calls of the last *window* seconds, is above *limit*.

    With a probability that grows from 0, where the quantile is just at the limit, to *max_rejection*, where all calls
    are slow; the rest go on and show the recovery. Below *minimum* calls nothing is refused. A call under way counts
    as slow as soon as it is; a call that fails before it is slow, and a cancelled one, count as nothing.

    Raises :class:`longrun.Shed` for a refused call; PipelineError for shares that are not between 0 and 1 or a window
    that is no longer than the limit, ValueError for durations that are none.
    """
    settings = LatencySettings(
        seconds(limit, "shed.on_latency limit"),
        seconds(window, "shed.on_latency window"),
        quantile,
        minimum,
        max_rejection,
    )
    return OnLatency(settings, name)
