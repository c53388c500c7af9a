"""Shutdown: the hooks that run when every task has stopped."""

from collections.abc import Awaitable, Callable, Sequence

import anyio
from anyio.abc import TaskGroup

from longrun.errors import TimeoutExceeded
from longrun.task.outcome import HookFailure


async def run_hooks(
    hooks: Sequence[tuple[str, Callable[[], Awaitable[object]]]], deadline: float, grace: float, tg: TaskGroup
) -> tuple[tuple[HookFailure, ...], tuple[str, ...]]:
    """Call *hooks* one after the other, each with an equal slice of what is left until *deadline*.

    A hook that raises, or that neither ends in its slice nor in *grace* seconds after being cancelled, is reported;
    the others run all the same. Returns the failures, and the names of the hooks that still run.
    """
    failures: list[HookFailure] = []
    ended: dict[str, anyio.Event] = {}
    for index, (name, hook) in enumerate(hooks):
        left = max(grace, deadline - anyio.current_time())
        done = anyio.Event()
        error = await _run_hook(name, hook, left / (len(hooks) - index), grace, tg, done)
        if error is not None:
            failures.append(HookFailure(name, error))
        ended[name] = done
    return tuple(failures), tuple(name for name, done in ended.items() if not done.is_set())


async def _run_hook(
    name: str, hook: Callable[[], Awaitable[object]], slice_: float, grace: float, tg: TaskGroup, done: anyio.Event
) -> BaseException | None:
    found: list[BaseException] = []
    scope = anyio.CancelScope()

    async def call() -> None:
        # A task of its own: a hook that ignores its cancellation must not hold up the others.
        try:
            with scope:
                await hook()
        except Exception as error:  # noqa: BLE001 - a hook is foreign code; its error is reported, the others run
            found.append(error)
        finally:
            done.set()

    tg.start_soon(call, name=f"shutdown of {name}")
    with anyio.move_on_after(slice_):
        await done.wait()
    if not done.is_set():
        scope.cancel()
        with anyio.move_on_after(grace):
            await done.wait()
        return found[0] if found else TimeoutExceeded(slice_, f"the shutdown hook of {name!r}")
    return found[0] if found else None
