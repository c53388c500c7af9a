"""ratelimit.wait: so many calls per second, each in its turn.

The arithmetic: :mod:`longrun.ratelimit.gcra`. Who waits: :mod:`longrun.ratelimit.line`. Around the call:
:mod:`longrun.ratelimit.admission`.
"""

from longrun.durations import Duration
from longrun.ratelimit.events import RateLimitRejected, RateLimitWaited
from longrun.ratelimit.line import Statistics
from longrun.ratelimit.option import RateLimitOption
from longrun.ratelimit.settings import checked

__all__ = ["RateLimitRejected", "RateLimitWaited", "Statistics", "wait"]


def wait(
    rate: float, per: Duration = 1.0, *, burst: int | None = None, name: str | None = None, queue: int | None = None
) -> RateLimitOption:
    """Start at most *rate* calls per *per* seconds, in order of arrival; one that must wait for its token waits.

    *burst* calls may start back to back after a quiet time (default: what comes in one period, at least 1). A call
    whose token comes later than the nearest deadline is refused at once with :class:`longrun.RateLimited`, whose
    ``retry_after`` is the wait in seconds; so is one that finds *queue* others waiting (0: never wait; None: no bound).
    Who is cancelled while waiting has taken no token, and all behind it move up. The same *name* with the same settings
    is one limit in the process, over threads and event loops; without a name each pipeline has its own. Raises
    PipelineError for numbers that are not finite or not above 0.
    """
    return RateLimitOption(checked(rate, per, burst, queue), name)
