"""timeout.after: a time limit for everything below it.

Above a retry it limits the whole call, below it each attempt.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from longrun.durations import Duration, seconds
from longrun.errors import TimeoutExceeded

T = TypeVar("T")


class After:
    """The option that ``timeout.after`` makes."""

    __slots__ = ("seconds",)

    def __init__(self, limit: Duration) -> None:
        self.seconds = seconds(limit, "timeout.after")

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        cause: BaseException | None = None
        with anyio.move_on_after(self.seconds) as scope:
            try:
                return await call()
            except anyio.get_cancelled_exc_class() as cancelled:
                cause = cancelled.__cause__  # a retry below leaves the last real error there
                raise
        # Only our own expiry gets here: a cancellation from outside has gone on, and so has an error of the callee.
        assert scope.cancelled_caught
        raise TimeoutExceeded(self.seconds) from cause

    def describe(self) -> str:
        return f"timeout after {self.seconds:g} s"


def after(seconds: Duration) -> After:
    """Raise :class:`longrun.TimeoutExceeded` when what is below takes longer than *seconds*.

    It is told apart from a TimeoutError of the callee (which passes unchanged) and from an outer scope's expiry.
    """
    return After(seconds)
