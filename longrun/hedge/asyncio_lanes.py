"""Lanes on asyncio and uvloop: an anyio task group that is left by its scope alone when it never had a child.

* The timer is ``loop.call_later``, which is no task. All it may do is start a child in the group. Children are put into
  the group's own cancel scope, whoever starts them: deadlines and cancellation reach them, and the group awaits them.
* ``anyio.create_task_group`` finds out each time on what it runs, which takes as long as entering the group. Here that
  is known, so the kind of group that it makes is kept.
* A group without children has entered nothing but its cancel scope, so leaving the scope is leaving the group; it would
  only add a turn of the event loop. The timer is cancelled in the same step, so no child comes after it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import cache
from types import TracebackType

import anyio
from anyio.abc import TaskGroup

from longrun.hedge.lanes import Copy


@cache
def _kind() -> type[TaskGroup]:
    """What ``anyio.create_task_group`` makes on asyncio."""
    return type(anyio.create_task_group())


class AsyncioLanes:
    """See :class:`longrun.hedge.lanes.Lanes`."""

    __slots__ = ("_context", "_group", "_loop", "_timer", "_used")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._context = copy_context()
        self._group = _kind()()
        self._timer: asyncio.TimerHandle | None = None
        self._used = False

    def __aenter__(self) -> Awaitable[object]:
        return self._group.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> bool | None:
        if not self._used:
            if self._timer is not None:
                self._timer.cancel()
            return self._group.cancel_scope.__exit__(kind, error, traceback)
        try:
            return await self._group.__aexit__(kind, error, traceback)
        finally:
            self.disarm()

    def arm(self, delay: float, ring: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, ring, context=self._context)

    def disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def spawn(self, copy: Copy, number: int, reason: str) -> None:
        self._used = True

        def start() -> None:
            self._group.start_soon(copy, number, reason)

        self._context.copy().run(start)  # a copy: the timer's callback is inside the context itself

    def cancel(self, grace: float, ring: Callable[[], None]) -> None:
        self._group.cancel_scope.cancel()
        self.arm(grace, ring)
