"""Time: the event loop's clock for waits and deadlines, the wall clock for people."""

import time
from contextvars import ContextVar
from typing import Protocol

import anyio

#: True inside ``longrun.testing.instant()``: waits between attempts take no time.
no_waits: ContextVar[bool] = ContextVar("longrun_no_waits", default=False)


class Clock(Protocol):
    """Where a runner reads the time."""

    def now(self) -> float:
        """Seconds on the monotonic clock that ``anyio.sleep_until`` waits by."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch."""
        ...


class SystemClock:
    """The event loop's clock, and the computer's."""

    def now(self) -> float:
        return anyio.current_time()

    def wall(self) -> float:
        return time.time()


async def pause(seconds: float) -> None:
    """Wait between two attempts. Nothing is waited for 0, which would cost a turn of the event loop."""
    if seconds > 0 and not no_waits.get():
        await anyio.sleep(seconds)
