"""A row: one way to make a call resilient. The two kinds of call that every row is given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

#: A limit that no run of the benchmark reaches.
NEVER = 10**9

Target: TypeAlias = Callable[[], Awaitable[int]]
#: Makes the call under test from a target; may be async, for what must be made inside an event loop.
Make: TypeAlias = Callable[[Target], Any]

OK = ("ok",)
BOTH = ("ok", "fail2")


class Boom(Exception):
    """The passing failure of the ``fail2`` path."""


@dataclass(frozen=True, slots=True)
class Row:
    """*group* is the table it stands in, *paths* the kinds of call it is measured with."""

    name: str
    group: str
    make: Make
    paths: tuple[str, ...] = OK


def target(path: str) -> Target:
    """``ok`` returns at once; ``fail2`` raises twice, then returns, over and over: one call is three attempts."""

    async def succeeds() -> int:
        return 42

    calls = 0

    async def fails_twice() -> int:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise Boom
        return 42

    return succeeds if path == "ok" else fails_twice
