"""Options: what wraps a call, or takes part in wrapping it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, Self, TypeAlias, TypeVar, runtime_checkable

from longrun.events import Listener

T = TypeVar("T")

#: The call as an option sees it: everything below it, ready to be awaited, as often as it likes.
Call: TypeAlias = Callable[[], Awaitable[T]]


class Wrapper(Protocol):
    """A custom option: one async callable. It may wait, repeat, replace or refuse the call."""

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T: ...


class Part:
    """A piece that a Pipeline assembles with others of its kind instead of calling it: a retry rule, a listener.

    A copy of it, deep or not, is itself: what it stands for may be shared by name.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self


class ExtraAttempts(Protocol):
    """A budget as the layers below it see it: how many attempts beyond the first ones all its calls may make."""

    def called(self) -> None:
        """A call begins: its first attempt is always allowed, and earns a share of an extra one."""
        ...

    def spend(self) -> bool:
        """Take one extra attempt (a retry, a hedge); False when none is left. Never waits."""
        ...

    def refund(self) -> None:
        """Give one back that was not made: its wait was cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """Where a layer stands: the pipeline's name and listeners, chance, and the nearest budget above it."""

    name: str
    listeners: tuple[Listener, ...]
    rng: Random
    budget: ExtraAttempts | None = None


class Layer(Part):
    """An option that keeps state or tells events: :meth:`build` makes what wraps the calls of one pipeline.

    *owned*: its state lives in the pipeline that holds it, so ``do``, which makes a pipeline for one call, refuses it.
    *spends*: it makes attempts beyond the first one, and so has a use for a budget above it.
    """

    __slots__ = ()
    owned = False
    spends = False

    def build(self, site: Site) -> Wrapper:
        """What wraps the calls of the pipeline at *site*. Called once per pipeline."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line of words."""
        return type(self).__qualname__


@runtime_checkable
class Keyed(Protocol):
    """A built layer that has one wrapper for each key, a key being made of the arguments of the call."""

    def select(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Wrapper:
        """The wrapper for a call with these arguments."""
        ...


@runtime_checkable
class Dormant(Protocol):
    """A built layer that has nothing to do yet: calls go past it until :meth:`awake` is true, and then never again."""

    def awake(self) -> object:
        """True, or anything true, when it must take part. Asked before each call, so it must cost next to nothing."""
        ...


#: An option of a pipeline, or a list of options, as deep as you like.
Option: TypeAlias = "Wrapper | Part | Sequence[Option]"


def flatten(options: Iterable[Option]) -> list[Wrapper | Part]:
    """*options* with every list and tuple in it unfolded, in order."""
    flat: list[Wrapper | Part] = []
    for option in options:
        if isinstance(option, list | tuple):
            flat.extend(flatten(option))
        else:
            flat.append(option)  # type: ignore[arg-type]  # Pipeline refuses what is neither callable nor a Part
    return flat


def describe(option: Any) -> str:  # noqa: ANN401 - custom options are any callable
    """One line of words for *option*."""
    words = getattr(option, "describe", None)
    if callable(words):
        return str(words())
    return str(getattr(option, "__qualname__", None) or type(option).__qualname__)
