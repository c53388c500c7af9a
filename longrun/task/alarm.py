"""Alarm: to wait until an instant, or until somebody rings, for the least that each backend allows.

The dispatcher waits so a few hundred times per second; an event in a cancel scope costs several times as much.
"""

import asyncio
import math
from typing import Protocol

import anyio

from longrun.backend import running_asyncio


class Alarm(Protocol):
    """One waiter."""

    async def wait(self, until: float) -> None:
        """Return at *until*, on the event loop's clock, or when :meth:`ring` is called, even before this one is."""
        ...

    def ring(self) -> None:
        """Wake who waits, or whoever waits next."""
        ...


def alarm() -> Alarm:
    """For the backend that is running."""
    loop = running_asyncio()
    return AnyAlarm() if loop is None else AsyncioAlarm(loop)


class AnyAlarm:
    """On any backend."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    async def wait(self, until: float) -> None:
        with anyio.CancelScope(deadline=until):
            await self._event.wait()
        if self._event.is_set():
            self._event = anyio.Event()

    def ring(self) -> None:
        self._event.set()


class AsyncioAlarm:
    """A future and a timer of the event loop."""

    __slots__ = ("_future", "_loop", "_rung")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._future: asyncio.Future[None] | None = None
        self._rung = False

    async def wait(self, until: float) -> None:
        if self._rung:
            self._rung = False
            return
        self._future = self._loop.create_future()
        timer = None if until == math.inf else self._loop.call_at(until, self.ring)
        try:
            await self._future
        finally:
            self._future = None
            self._rung = False
            if timer is not None:
                timer.cancel()

    def ring(self) -> None:
        self._rung = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)
