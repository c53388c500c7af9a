"""Starting the coroutine of a run, the cheapest safe way that each backend has.

A run is a task of its own, so nothing that libraries keep by task or by context passes from one run to another. On
asyncio that is the loop's ``create_task``: starting a child of an anyio task group costs several times as much, and
what the group is for, to cancel and to wait for its children, the runner does by itself for each run.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any, Protocol, TypeAlias, TypeVar

from anyio.abc import TaskGroup

from longrun.backend import running_asyncio

A = TypeVar("A")

#: What is run. What it raises itself, which is a defect or an exit, it gives to :meth:`Spawner.let_out`.
Child: TypeAlias = Callable[[A], Coroutine[Any, Any, None]]


class Spawner(Protocol):
    """Starts children with the context variables as they were when it was made."""

    def __call__(self, child: Child[A], argument: A, name: str) -> object:
        """Start *child*. What is returned has to be kept as long as it lives: an event loop refers to its tasks only
        weakly."""
        ...

    def let_out(self, defect: BaseException) -> None:
        """The last that a child does with what it raises itself: it comes out of the task group, and ends it."""
        ...


def spawner(tg: TaskGroup) -> Spawner:
    """For the backend that is running. What a child lets out comes out of *tg*, and ends it."""
    loop = running_asyncio()
    return Grouped(tg) if loop is None else Native(tg, loop)


class Grouped:
    """Children of the task group, on any backend."""

    __slots__ = ("_context", "_tg")

    def __init__(self, tg: TaskGroup) -> None:
        self._tg = tg
        self._context = copy_context()

    def __call__(self, child: Child[A], argument: A, name: str) -> object:
        self._context.copy().run(lambda: self._tg.start_soon(child, argument, name=name))
        return None

    def let_out(self, defect: BaseException) -> None:
        """It is a child of the group."""
        raise defect


class Native:
    """Tasks of the event loop's own."""

    __slots__ = ("_context", "_start", "_tg")

    def __init__(self, tg: TaskGroup, loop: asyncio.AbstractEventLoop) -> None:
        self._tg = tg
        self._start = loop.create_task
        self._context = copy_context()

    def __call__(self, child: Child[A], argument: A, name: str) -> object:
        return self._start(child(argument), name=name, context=self._context.copy())

    def let_out(self, defect: BaseException) -> None:
        """Not by a callback of the task: each costs a turn of the event loop."""
        if isinstance(defect, asyncio.CancelledError | KeyboardInterrupt | SystemExit):
            raise defect  # the event loop sees to these itself
        self._tg.start_soon(_raise, defect)


async def _raise(error: BaseException) -> None:
    raise error
