"""The host of a CronRunner: the shape of its callbacks, and how they are called: foreign code may do anything."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias, TypeVar

import anyio

from longrun.cancellation import asked_for
from longrun.errors import StrayCancellation
from orchestrator.cron.errors import RunnerError
from orchestrator.cron.report import DueJob

T = TypeVar("T")

Due: TypeAlias = Callable[[datetime], Awaitable[Iterable[DueJob]]]
Run: TypeAlias = Callable[[str], Awaitable[object]]
Mark: TypeAlias = Callable[[str, datetime, datetime], Awaitable[object]]
Next: TypeAlias = Callable[[str, datetime], datetime]
Claim: TypeAlias = Callable[[str, datetime, datetime], Awaitable[bool]]
Upcoming: TypeAlias = Callable[[datetime], Awaitable[datetime | None]]


def check_callbacks(needed: Mapping[str, object], optional: Mapping[str, object]) -> None:
    """RunnerError, one for all that are missing, or for the first that is no function."""
    missing = [name for name, callback in needed.items() if callback is None]
    if missing:
        raise RunnerError(f"CronRunner has no {', '.join(missing)}; it needs {', '.join(needed)}")
    for name, callback in {**needed, **optional}.items():
        if callback is not None and not callable(callback):
            raise RunnerError(f"CronRunner {name} is {callback!r}; give a function")


async def foreign(call: Awaitable[T]) -> T:
    """Await the host's code. A cancellation that nobody asked for is its failure; it must not end the runner."""
    try:
        return await call
    except anyio.get_cancelled_exc_class() as cancelled:
        if asked_for(cancelled):
            raise
        raise StrayCancellation("a callback of the cron runner was cancelled by somebody else") from cancelled


def said(error: BaseException) -> str:
    """*error* in one line."""
    return f"{type(error).__name__}: {error}"
