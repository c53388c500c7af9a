"""Pipeline and do: options read top to bottom, the first is the outermost."""

import functools
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import ParamSpec, TypeVar

from longrun.errors import PipelineError
from longrun.observation import Observe
from longrun.option import Call, Option, Part, Wrapper, describe, flatten
from longrun.retry import Loop, On, OnResult
from longrun.timeout import After

P = ParamSpec("P")
T = TypeVar("T")


class Pipeline:
    """Options built and checked once, safe for any number of concurrent calls.

    All retry rules form one engine at the place of the first of them. Raises :class:`PipelineError` for options that
    cannot work together.
    """

    __slots__ = ("_layers", "name")

    def __init__(self, *options: Option, name: str | None = None, rng: Random | None = None) -> None:
        self.name = name or "call"
        self._layers = _assemble(flatten(options), self.name, rng or Random())
        _check(self._layers)

    async def do(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call ``fn(*args, **kwargs)`` through the options and return its result; what comes out is its own error."""
        call: Call[T] = functools.partial(fn, *args, **kwargs)
        for layer in self._layers:
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
    """One resilient call: ``fn()`` through *options*, first = outermost."""
    return await Pipeline(*options).do(fn)


def compose(*options: Option) -> list[Option]:
    """A bundle of options under one name, to be given to ``do`` and ``Pipeline`` like a single one."""
    return list(options)


def _assemble(options: list[Wrapper | Part], name: str, rng: Random) -> tuple[Wrapper, ...]:
    """The layers, innermost first."""
    rules: list[On | OnResult] = [option for option in options if isinstance(option, On | OnResult)]
    listeners = tuple(option.listener for option in options if isinstance(option, Observe))
    layers: list[Wrapper] = []
    placed = False
    for option in options:
        if isinstance(option, Part):
            if not placed and (isinstance(option, On | OnResult) or not rules):
                layers.append(Loop(rules, listeners, name, rng))
                placed = True
        elif callable(option):
            layers.append(option)
        else:
            raise PipelineError(
                f"{option!r} is no option; give longrun's options or an async callable (call) -> result"
            )
    return tuple(reversed(layers))


def _check(layers: Iterable[Wrapper]) -> None:
    """Refuse limits that can never fire: an inner one as long as one around it, with nothing repeated between."""
    inner: float | None = None
    for layer in layers:
        if isinstance(layer, After):
            if inner is not None and inner >= layer.seconds:
                raise PipelineError(
                    f"timeout.after({inner:g}) can never fire inside timeout.after({layer.seconds:g}); "
                    "make the inner one shorter or leave it out"
                )
            inner = layer.seconds
