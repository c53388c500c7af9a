"""What a rate limit is told: a frozen value that has been checked."""

import math
import sys
from dataclasses import dataclass

from longrun.durations import Duration, seconds
from longrun.errors import PipelineError
from longrun.ratelimit.gcra import Gcra


@dataclass(frozen=True, slots=True)
class Settings:
    """*rate* calls per *per* seconds, *burst* of them back to back, at most *queue* waiting (None: no bound)."""

    rate: float
    per: float
    burst: int
    queue: int | None

    def __str__(self) -> str:
        queue = "" if self.queue is None else f", queue={self.queue}"
        return f"(rate={self.rate:g}, per={self.per:g}, burst={self.burst}{queue})"

    def gcra(self) -> Gcra:
        """The arithmetic for these settings."""
        return Gcra(self.per / self.rate, self.burst)


def checked(rate: float, per: Duration, burst: int | None, queue: int | None) -> Settings:
    """The settings of ``ratelimit.wait``. PipelineError for a value that cannot be meant."""
    fine = isinstance(rate, int | float) and not isinstance(rate, bool) and rate <= sys.float_info.max  # NaN is not
    if not fine or rate <= 0:
        raise PipelineError(f"ratelimit.wait rate is {rate!r}; give a finite number of calls above 0")
    try:
        period = seconds(per, "ratelimit.wait per")
    except ValueError as error:
        raise PipelineError(str(error)) from None
    if not _is_whole(burst, 1):
        raise PipelineError(
            f"ratelimit.wait burst is {burst!r}; give a whole number of at least 1, or None for one period's worth"
        )
    if not _is_whole(queue, 0):
        raise PipelineError(
            f"ratelimit.wait queue is {queue!r}; give a whole number of at least 0 (never wait), or None for no bound"
        )
    tokens = max(1, math.floor(rate)) if burst is None else burst
    try:
        kept = tokens * (period / rate)
    except OverflowError:
        kept = math.inf
    if not period / rate > 0 or kept == math.inf:
        raise PipelineError(
            f"ratelimit.wait rate={rate!r}, per={per!r}, burst={burst!r} make tokens that no clock can tell apart; "
            "give values nearer to each other"
        )
    return Settings(float(rate), period, tokens, queue)


def _is_whole(value: object, least: int) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= least)
