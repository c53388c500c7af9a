"""Pipeline and do: options read top to bottom, the first is the outermost."""

import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from random import Random
from types import FunctionType
from typing import Any, ParamSpec, Self, TypeVar, cast

from longrun.assembly import assemble, refuse_owned
from longrun.errors import PipelineError
from longrun.option import Call, Dormant, Keyed, Option, Wrapper, describe

P = ParamSpec("P")
T = TypeVar("T")


#: Where pipelines draw their jitter from, unless they are given their own source.
CHANCE = Random()


async def straight(call: Call[T]) -> T:
    """A pipeline without options."""
    return await call()


def _chain(layers: Iterable[Wrapper]) -> tuple[tuple[Wrapper, ...], Wrapper]:
    """What wraps a call, innermost first, and the outermost of it. Bound methods are called faster than objects."""
    bound = [layer if isinstance(layer, FunctionType) else layer.__call__ for layer in layers]
    return (tuple(bound[:-1]), bound[-1]) if bound else ((), straight)


def _selected(
    awake: Sequence[Wrapper], keyed: tuple[int, ...], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> list[Wrapper]:
    """*awake* with the wrapper for these arguments at each place of *keyed*."""
    layers = list(awake)
    for index in keyed:
        layers[index] = cast("Keyed", layers[index]).select(args, kwargs)
    return layers


class Pipeline:
    """Options built and checked once, safe for any number of concurrent calls.

    All retry rules form one engine at the place of the first of them. Raises :class:`PipelineError` for options that
    cannot work together.
    """

    __slots__ = ("_asleep", "_layers", "_way", "name")

    def __init__(self, *options: Option, name: str | None = None, rng: Random | None = None) -> None:
        self.name = name or "call"
        self._layers = assemble(options, self.name, rng or CHANCE)
        self._wake()

    def do(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        """Call ``fn(*args, **kwargs)`` through the options and return its result; what comes out is its own error."""
        # Not an async function: it would cost each call a frame of its own and do nothing more.
        if self._asleep is not None and self._asleep():
            self._wake()
        call: Call[T] = functools.partial(fn, *args, **kwargs) if args or kwargs else fn
        inner, outer, keyed, awake = self._way
        if keyed:
            inner, outer = _chain(_selected(awake, keyed, args, kwargs))
        for layer in inner:
            call = functools.partial(layer, call)
        return outer(call)

    def _wake(self) -> None:
        """Put the chain together from the layers that are awake, and see which of the others to ask before a call."""
        asleep = [layer for layer in self._layers if isinstance(layer, Dormant) and not layer.awake()]
        awake = [layer for layer in self._layers if layer not in asleep]
        # Asked once: asking whether an object fits a protocol costs more than the whole rest of a call.
        keyed = tuple(index for index, layer in enumerate(awake) if isinstance(layer, Keyed))
        self._way = (*_chain(awake), keyed, awake)  # in one step: calls of other threads are under way
        self._asleep: Callable[[], object] | None = None
        if asleep:
            self._asleep = asleep[0].awake if len(asleep) == 1 else lambda: any(layer.awake() for layer in asleep)

    def wrap(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """*fn* with every call going through this pipeline; also a decorator. PipelineError for a generator."""
        if inspect.isasyncgenfunction(fn) or inspect.isgeneratorfunction(fn):
            raise PipelineError(
                f"{getattr(fn, '__qualname__', fn)} is a generator, whose items cannot be made a second time; "
                "wrap what it awaits for each of them"
            )

        @functools.wraps(fn)
        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.do(fn, *args, **kwargs)

        return wrapped

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        # The state of its options protects what all its calls share; a copy would protect half of it.
        return self

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


#: Pipelines that ``do`` has made, by their options; when it is full all are forgotten.
_ready: dict[tuple[Option, ...], Pipeline] = {}
_MOST_READY = 64


def do(fn: Callable[[], Awaitable[T]], *options: Option) -> Coroutine[Any, Any, T]:
    """One resilient call: ``fn()`` through *options*, first = outermost.

    PipelineError for options whose state would be new for each call: name them, or build a :class:`Pipeline`.
    """
    try:
        pipeline = _ready.get(options)
    except TypeError:  # a list among them: it may have changed since
        pipeline = None
    return (pipeline or _made(options)).do(fn)


def _made(options: tuple[Option, ...]) -> Pipeline:
    refuse_owned(options)
    pipeline = Pipeline(*options)
    try:
        if len(_ready) >= _MOST_READY:
            _ready.clear()
        _ready[options] = pipeline
    except TypeError:
        pass
    return pipeline


def forget_ready() -> None:
    """What ``do`` has kept is made anew; for tests that swap shared state."""
    _ready.clear()


def compose(*options: Option) -> list[Option]:
    """A bundle of options under one name, to be given to ``do`` and ``Pipeline`` like a single one."""
    return list(options)
