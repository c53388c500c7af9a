"""Waiter: one call in a queue, woken in its own event loop by whoever makes room, from any thread."""

import math
import sys
from typing import Any, Literal, Protocol

import anyio

from longrun import deadline

Phase = Literal["waiting", "admitted", "left"]

#: Which phase may follow which. Turns are given by one thread and given up by another: a step that is not here was
#: decided twice, and must change nothing.
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    "waiting": frozenset({"admitted", "left"}),
    "admitted": frozenset({"left"}),
    "left": frozenset(),
}

#: A queue is left so many seconds ahead of the deadline, at most a tenth of what is left: in the instant of the
#: deadline itself the scope cancels, and the caller would learn of a time-out and not of the queue.
AHEAD = 0.005


class Place(Protocol):
    """A place in a queue. *phase* belongs to the queue, which changes it under its lock."""

    phase: Phase


class Waiter:
    """A call that waits for its turn. Made in the task that will wait."""

    __slots__ = ("_event", "_loop", "phase")

    def __init__(self) -> None:
        self.phase: Phase = "waiting"
        self._event = anyio.Event()
        self._loop = _running_loop()

    def wake(self) -> None:
        """Let :meth:`wait` return. RuntimeError when the waiter's event loop is closed: it will never come."""
        if _running_loop() is self._loop:
            self._event.set()
        elif hasattr(self._loop, "run_sync_soon"):  # trio's
            self._loop.run_sync_soon(self._event.set)
        else:
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> bool:
        """Wait to be woken; False when the nearest deadline comes first, just ahead of it.

        The deadline is read again before the wait is given up: that of a task's run may have moved.
        """
        while not self._event.is_set():
            left = time_to_wait()
            if left == math.inf:
                await self._event.wait()
                break
            spare = left - min(AHEAD, left / 10)
            if spare <= 0:
                return False
            with anyio.CancelScope(deadline=anyio.current_time() + spare):
                await self._event.wait()
            if not self._event.is_set() and time_to_wait() <= AHEAD:
                return False
        return True


def time_to_wait() -> float:
    """Seconds until the nearest deadline, 0.0 when it has passed.

    ``inf`` when there is none, and also when the caller is cancelled: it is the wait that has to say so.
    """
    return math.inf if deadline.nearest() == -math.inf else deadline.left()


def _running_loop() -> Any:  # noqa: ANN401 - two libraries' own types, one of which need not be installed
    """What stands for the event loop that runs here: trio's token, or asyncio's loop; None outside of one."""
    trio = sys.modules.get("trio")  # whoever runs on trio has imported it
    if trio is not None and trio.lowlevel.in_trio_run():
        return trio.lowlevel.current_trio_token()
    import asyncio

    return asyncio._get_running_loop()
