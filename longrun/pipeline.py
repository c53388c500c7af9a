"""Pipeline and do: options read top to bottom, the first is the outermost."""

import functools
from collections.abc import Awaitable, Callable
from random import Random
from typing import ParamSpec, TypeVar

from longrun.assembly import assemble, refuse_owned
from longrun.option import Call, Keyed, Option, describe

P = ParamSpec("P")
T = TypeVar("T")


class Pipeline:
    """Options built and checked once, safe for any number of concurrent calls.

    All retry rules form one engine at the place of the first of them. Raises :class:`PipelineError` for options that
    cannot work together.
    """

    __slots__ = ("_keyed", "_layers", "name")

    def __init__(self, *options: Option, name: str | None = None, rng: Random | None = None) -> None:
        self.name = name or "call"
        self._layers = assemble(options, self.name, rng or Random())
        self._keyed = any(isinstance(layer, Keyed) for layer in self._layers)

    async def do(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``fn(*args, **kwargs)`` through the options and return its result; what comes out is its own error."""
        call: Call[T] = functools.partial(fn, *args, **kwargs)
        layers = self._layers
        if self._keyed:
            layers = tuple(layer.select(args, kwargs) if isinstance(layer, Keyed) else layer for layer in layers)
        for layer in layers:
            call = functools.partial(layer, call)
        return await call()

    def wrap(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """*fn* with every call going through this pipeline; also a decorator."""

        @functools.wraps(fn)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.do(fn, *args, **kwargs)

        return wrapped

    def describe(self) -> str:
        """The pipeline in words, outermost first."""
        lines = [f"{self.name}:"]
        for layer in reversed(self._layers):
            lines.extend(f"  {line}" for line in describe(layer).splitlines())
        return "\n".join([*lines, "  the call"])

    def __repr__(self) -> str:
        return (
            f"<Pipeline {self.name}: {' > '.join(describe(layer).splitlines()[0] for layer in reversed(self._layers))}>"
        )


async def do(fn: Callable[[], Awaitable[T]], *options: Option) -> T:
    """One resilient call: ``fn()`` through *options*, first = outermost.

    PipelineError for options whose state would be new for each call: name them, or build a :class:`Pipeline`.
    """
    refuse_owned(options)
    return await Pipeline(*options).do(fn)


def compose(*options: Option) -> list[Option]:
    """A bundle of options under one name, to be given to ``do`` and ``Pipeline`` like a single one."""
    return list(options)
