"""Pipeline and do: options read top to bottom, the first is the outermost."""

import functools
from collections.abc import Awaitable, Callable, Coroutine
from random import Random
from typing import Any, ParamSpec, TypeVar, cast

from longrun.assembly import assemble, refuse_owned
from longrun.option import Call, Keyed, Option, Wrapper, describe

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
        self._layers = assemble(options, self.name, rng or Random()) or (_as_it_is,)
        # Asked once: asking whether an object fits a protocol costs more than the whole rest of a call.
        self._keyed = tuple(index for index, layer in enumerate(self._layers) if isinstance(layer, Keyed))

    def do(
        self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[Any, Any, T]:  # what an ``async def`` would return
        """Call ``fn(*args, **kwargs)`` through the options and return its result; what comes out is its own error."""
        # Not ``async def``: one coroutine less on the way of every call.
        call: Call[T] = functools.partial(fn, *args, **kwargs) if args or kwargs else cast("Call[T]", fn)
        layers = self._layers
        if self._keyed:
            layers = self._selected(args, kwargs)
        for layer in layers[:-1]:
            call = functools.partial(layer, call)
        return layers[-1](call)

    def _selected(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Wrapper, ...]:
        layers = list(self._layers)
        for index in self._keyed:
            layers[index] = cast("Keyed", layers[index]).select(args, kwargs)
        return tuple(layers)

    def wrap(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """*fn* with every call going through this pipeline; also a decorator."""

        @functools.wraps(fn)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.do(fn, *args, **kwargs)

        return wrapped

    def describe(self) -> str:
        """The pipeline in words, outermost first."""
        lines = [f"{self.name}:"]
        for layer in reversed(self._layers if self._layers != (_as_it_is,) else ()):
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
    return await _prepared(options).do(fn)


def compose(*options: Option) -> list[Option]:
    """A bundle of options under one name, to be given to ``do`` and ``Pipeline`` like a single one."""
    return list(options)


#: Pipelines of ``do`` by their options, so that a call site with ready options does not build one each time.
_ready: dict[tuple[Option, ...], Pipeline] = {}
_MOST_READY = 256


def forget_ready() -> None:
    """Forget the pipelines of ``do``: they hold the named state that they were built with. For tests."""
    _ready.clear()


def _prepared(options: tuple[Option, ...]) -> Pipeline:
    try:
        known = _ready.get(options)
    except TypeError:  # a list among them: it may have changed since
        return _built(options)
    if known is None:
        known = _built(options)
        if len(_ready) >= _MOST_READY:  # options made anew for each call: forget them all rather than grow
            _ready.clear()
        _ready[options] = known
    return known


def _built(options: tuple[Option, ...]) -> Pipeline:
    refuse_owned(options)
    return Pipeline(*options)


async def _as_it_is(call: Call[T]) -> T:
    """The layer of a pipeline without options."""
    return await call()
