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

#: What is run: it lets nothing out but what is a defect, or an exit.
Child: TypeAlias = Callable[[A], Coroutine[Any, Any, None]]


class Spawner(Protocol):
    """Starts children with the context variables as they were when it was made. What it returns has to be kept as long
    as the child lives: an event loop refers to its tasks only weakly."""

    def __call__(self, child: Child[A], argument: A, name: str) -> object: ...


def spawner(tg: TaskGroup) -> Spawner:
    """For the backend that is running. What a child lets out comes out of *tg*, and ends it."""
    loop = running_asyncio()
    return _grouped(tg) if loop is None else _native(tg, loop)


def _grouped(tg: TaskGroup) -> Spawner:
    context = copy_context()

    def spawn(child: Child[A], argument: A, name: str) -> object:
        context.copy().run(lambda: tg.start_soon(child, argument, name=name))
        return None

    return spawn


def _native(tg: TaskGroup, loop: asyncio.AbstractEventLoop) -> Spawner:
    context = copy_context()

    async def guarded(child: Child[A], argument: A) -> None:
        # Not a callback of the task: each costs a turn of the event loop.
        try:
            await child(argument)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise  # the event loop sees to these itself
        except BaseException as defect:  # noqa: BLE001 - nothing may get lost; it is raised again where it is seen
            tg.start_soon(_raise, defect)

    def spawn(child: Child[A], argument: A, name: str) -> object:
        return loop.create_task(guarded(child, argument), name=name, context=context.copy())

    return spawn


async def _raise(error: BaseException) -> None:
    raise error
