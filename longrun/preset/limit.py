"""Limit: a preset's time limit, which gives way to the user's."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from longrun.durations import Duration, seconds
from longrun.option import Option
from longrun.timeout import After

T = TypeVar("T")


class Limit:
    """``timeout.after`` as a default: beside a shorter one of the user it can never fire, and is still no mistake."""

    __slots__ = ("_after",)

    def __init__(self, limit: float) -> None:
        self._after = After(limit)

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        return await self._after(call)

    def describe(self) -> str:
        return self._after.describe()


def limits(limit: Duration | None, what: str, below: Duration | None = None) -> list[Option]:
    """A limit, or none; none either when it is not *below* the limit around it. ValueError that names *what*."""
    if limit is None:
        return []
    checked = seconds(limit, what)
    if below is not None and checked >= seconds(below, what):
        return []
    return [Limit(checked)]
