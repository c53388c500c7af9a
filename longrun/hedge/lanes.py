"""Lanes: a task group and one timer, made for calls that mostly need neither.

An anyio task group waits one turn of the event loop when it ends, children or not, and a timer on it is a child with a
handle of its own. Each backend has both for less, by what it offers openly; the price is one small file for each.
"""

from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Protocol, TypeAlias

#: What a lane runs, given the number of the copy and why it is started.
Copy: TypeAlias = Callable[[int, str], Coroutine[Any, Any, None]]


class Lanes(Protocol):
    """Children that have ended when it has, and a timer.

    Its body and its children let nothing out but cancellation, so that nothing ever comes out in an exception group.
    """

    def __aenter__(self) -> Awaitable[object]: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> bool | None: ...

    def arm(self, delay: float, ring: Callable[[], None]) -> None:
        """Call *ring* in *delay* seconds, instead of whom it would have called before."""
        ...

    def disarm(self) -> None:
        """Call nobody."""
        ...

    def spawn(self, copy: Copy, number: int, reason: str) -> None:
        """Run ``copy(number, reason)`` as a child, with the context variables as they were when the lanes were made."""
        ...

    def cancel(self, grace: float, ring: Callable[[], None]) -> None:
        """Cancel the body and every child; call *ring* in *grace* seconds, cancelled or not, unless disarmed."""
        ...
