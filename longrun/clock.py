"""Time: the event loop's clock for waits and deadlines, the wall clock for people."""

import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from time import monotonic
from typing import Protocol

import anyio

from longrun.backend import running_asyncio

#: Set once a test asks for virtual time: from then on :func:`now` follows the event loop.
_follow_the_loop = False


def now() -> float:
    """Seconds on a clock that states of options may keep over event loops, and read without one: the monotonic clock.

    Trio's own clock begins anew, anywhere, with each run; a circuit that opened in one run would never close in the
    next. In tests under virtual time it is the event loop's clock.
    """
    return _loop_time() if _follow_the_loop else monotonic()


def is_virtual() -> bool:
    """Whether time is a test's: it passes only while the event loop waits, so nothing can block it unnoticed."""
    return _follow_the_loop and hasattr(_loop_clock(), "jump")


def _loop_clock() -> object:
    """What keeps the time of the event loop that runs, as far as its type tells something; None without one."""
    loop = running_asyncio()
    if loop is not None:
        return loop
    trio = sys.modules.get("trio")
    try:
        return None if trio is None else trio.lowlevel.current_clock()
    except RuntimeError:
        return None


def follow_the_loop() -> None:
    """Make :func:`now` read the event loop's clock where there is one; for virtual time."""
    global _follow_the_loop  # one clock for the process, switched by its tests alone
    _follow_the_loop = True


#: Who is told when a test lets the event loop stand still, and for how many seconds; see ``longrun.testing.block``.
standstill: set[Callable[[float], None]] = set()


def _loop_time() -> float:
    try:
        return anyio.current_time()
    except Exception:  # noqa: BLE001 - no event loop: anyio's error for it differs between versions
        return monotonic()


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


def reader(clock: Clock) -> Callable[[], float]:
    """``clock.now`` for use under the event loop that is running, and no other: one that need not look for it."""
    if type(clock) is not SystemClock:
        return clock.now
    loop = running_asyncio()
    if loop is not None:
        return loop.time
    import trio  # it runs, so it is there

    return trio.current_time


async def pause(seconds: float) -> None:
    """Wait between two attempts. Nothing is waited for 0, which would cost a turn of the event loop."""
    if seconds > 0 and not no_waits.get():
        await anyio.sleep(seconds)
