"""The primary rate limit: so many requests an hour, in fixed windows."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class RateWindow:
    """*used* of *limit* requests are spent until *reset*."""

    limit: int
    used: int
    reset: datetime

    @property
    def remaining(self) -> int:
        """Requests left in this window; never negative."""
        return max(0, self.limit - self.used)

    @property
    def reset_seconds(self) -> int:
        """*reset* in whole seconds since the epoch, rounded up: who waits until then has waited long enough."""
        return math.ceil(self.reset.timestamp())

    def at(self, now: datetime) -> "RateWindow":
        """The window that holds at *now*: this one, or a fresh one when this one is over."""
        return self if now < self.reset else RateWindow(self.limit, 0, now + WINDOW)

    def spent(self) -> "RateWindow":
        """After one more request."""
        return replace(self, used=self.used + 1)

    def exhausted_until(self, reset: datetime) -> "RateWindow":
        """Nothing left before *reset*."""
        return RateWindow(self.limit, self.limit, reset)

    def shifted(self, seconds: float) -> "RateWindow":
        """As a server tells it whose clock is *seconds* ahead."""
        return replace(self, reset=self.reset + timedelta(seconds=seconds))
