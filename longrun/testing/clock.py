"""Virtual time: the event loop's clock jumps to the next timer whenever nothing else is to do.

For code that waits in the event loop only. A wait for a thread, a socket or a process takes no virtual time while
timers go on jumping, so a deadline around one expires at once: give such tests real time.
"""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from longrun.clock import follow_the_loop

T = TypeVar("T")

#: 2026-01-01T00:00:00Z, when virtual wall time begins.
EPOCH = 1767225600.0

#: Real seconds after which a virtual loop with nothing left to wake it is called dead.
DEADLOCK = 5.0


class VirtualClock:
    """A clock for a Runner under virtual time: the wall clock moves with the event loop."""

    def __init__(self, epoch: float = EPOCH) -> None:
        self._epoch = epoch

    def now(self) -> float:
        return anyio.current_time()

    def wall(self) -> float:
        return self._epoch + anyio.current_time()


class _JumpingSelector(selectors.SelectSelector):
    """Never waits for a timer: it says how far to jump instead."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            ready = super().select(DEADLOCK)
            if not ready:
                raise RuntimeError("nothing is left that could wake this virtual event loop: the test waits for ever")
            return ready
        self.jumped += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Asyncio's own, with a clock that jumps."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.jumped

    def jump(self, seconds: float) -> None:
        """So much time passes while nothing goes on."""
        self._jumping.jumped += seconds


def virtual_backend(backend: str = "asyncio") -> tuple[str, dict[str, Any]]:
    """``(name, options)`` for anyio's pytest plugin (its ``anyio_backend`` fixture) or for ``anyio.run``."""
    follow_the_loop()
    if backend == "trio":
        from trio.testing import MockClock

        return "trio", {"clock": MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualLoop}


def run_virtual(fn: Callable[..., Awaitable[T]], *args: object, backend: str = "asyncio") -> T:
    """``anyio.run(fn, *args)`` in virtual time: hours pass in milliseconds. *backend*: ``"asyncio"`` or ``"trio"``."""
    name, options = virtual_backend(backend)
    return anyio.run(fn, *args, backend=name, backend_options=options)
