"""blocking: run a sync callable in a worker thread, as an async one."""

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

from anyio import to_thread

P = ParamSpec("P")
T = TypeVar("T")


def blocking(fn: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """*fn* as an async callable that runs in a worker thread.

    Cancellation waits for the thread to come back: a thread cannot be interrupted. Give *fn* a limit of its own.
    """

    @wraps(fn)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await to_thread.run_sync(partial(fn, *args, **kwargs))

    return call
