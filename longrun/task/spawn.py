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

A = TypeVar("A")

#: What is run: it lets nothing out but what is a defect, or an exit.
Child: TypeAlias = Callable[[A], Coroutine[Any, Any, None]]


class Spawner(Protocol):
    """Starts children with the context variables as they were when it was made."""

    def __call__(self, child: Child[A], argument: A, name: str) -> None: ...


def spawner(tg: TaskGroup) -> Spawner:
    """For the backend that is running. What a child lets out comes out of *tg*, and ends it."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if loop is None or asyncio.current_task(loop) is None:  # trio as asyncio's guest sees a loop, but no task
        return _grouped(tg)
    return _native(tg, loop)


def _grouped(tg: TaskGroup) -> Spawner:
    context = copy_context()

    def spawn(child: Child[A], argument: A, name: str) -> None:
        context.copy().run(lambda: tg.start_soon(child, argument, name=name))

    return spawn


def _native(tg: TaskGroup, loop: asyncio.AbstractEventLoop) -> Spawner:
    context = copy_context()
    alive: set[asyncio.Task[None]] = set()

    def done(task: asyncio.Task[None]) -> None:
        alive.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            tg.start_soon(_raise, error)

    def spawn(child: Child[A], argument: A, name: str) -> None:
        task = loop.create_task(child(argument), name=name, context=context.copy())
        alive.add(task)
        task.add_done_callback(done)

    return spawn


async def _raise(error: BaseException) -> None:
    raise error
