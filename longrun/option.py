"""Options: what wraps a call, or takes part in wrapping it."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

#: The call as an option sees it: everything below it, ready to be awaited, as often as it likes.
Call: TypeAlias = Callable[[], Awaitable[T]]


class Wrapper(Protocol):
    """A custom option: one async callable. It may wait, repeat, replace or refuse the call."""

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T: ...


class Part:
    """A piece that a Pipeline assembles with others of its kind instead of calling it: a retry rule, a listener."""

    __slots__ = ()


#: An option of a pipeline, or a list of options, as deep as you like.
Option: TypeAlias = "Wrapper | Part | Iterable[Option]"


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
