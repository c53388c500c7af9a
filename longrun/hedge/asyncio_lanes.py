"""Lanes on asyncio and uvloop: an anyio task group that is left by its scope alone when it never had a child.

* The timer is ``loop.call_later``, which is no task. All it may do is start a child in the group. Children are put into
  the group's own cancel scope, whoever starts them: deadlines and cancellation reach them, and the group awaits them.
* A group without children has entered nothing but its cancel scope, so leaving the scope is leaving the group; it would
  only add a turn of the event loop. The timer is cancelled in the same step, so no child comes after it.
"""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from types import TracebackType

import anyio

from longrun.hedge.lanes import Copy


class AsyncioLanes:
    """See :class:`longrun.hedge.lanes.Lanes`."""

    __slots__ = ("_context", "_group", "_timer", "_used")

    def __init__(self) -> None:
        self._context = copy_context()
        self._group = anyio.create_task_group()
        self._timer: asyncio.TimerHandle | None = None
        self._used = False

    async def __aenter__(self) -> None:
        await self._group.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> bool | None:
        if not self._used:
            self.disarm()
            return self._group.cancel_scope.__exit__(kind, error, traceback)
        try:
            return await self._group.__aexit__(kind, error, traceback)
        finally:
            self.disarm()

    def arm(self, delay: float, ring: Callable[[], None]) -> None:
        self.disarm()
        self._timer = asyncio.get_running_loop().call_later(delay, ring, context=self._context)

    def disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def spawn(self, copy: Copy, number: int, reason: str) -> None:
        self._used = True

        def start() -> None:
            self._group.start_soon(copy, number, reason)

        self._context.copy().run(start)  # a copy: the timer's callback is inside the context itself

    def cancel(self) -> None:
        self._group.cancel_scope.cancel()
