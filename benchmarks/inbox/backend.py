"""The event loop of a measurement: uvloop where it is installed, as most of the peers are at their best with it."""

from collections.abc import Awaitable, Callable
from functools import partial
from importlib.util import find_spec
from typing import TypeVar

import anyio

T = TypeVar("T")


def run(main: Callable[..., Awaitable[T]], *arguments: object, loop: str = "uvloop") -> T:
    """*main* in an event loop of its own: uvloop, asyncio or trio."""
    options = {"use_uvloop": True} if loop == "uvloop" and find_spec("uvloop") else {}
    return anyio.run(
        partial(main, *arguments), backend="trio" if loop == "trio" else "asyncio", backend_options=options
    )
