"""fallback.to: something else instead of a failure.

It covers what stands below it, cancellation excepted. Of several in a row the innermost is asked first; an outer one is
asked when the inner one does not mean the error, or fails itself.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

from longrun.ambient import with_ambient
from longrun.chain import leaves
from longrun.errors import PipelineError, Rejected
from longrun.events import Event, emit
from longrun.matching import Errors, Live, Matcher
from longrun.option import Layer, Site

T = TypeVar("T")

_log = logging.getLogger("longrun.fallback")


@dataclass(frozen=True, slots=True)
class FallbackUsed(Event):
    """The call failed with *error*, and *alternative* took its place."""

    name: ClassVar[str] = "fallback.used"
    alternative: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class FallbackFailed(Event):
    """The call failed with *error*, and *alternative* failed with *failure*, which goes on."""

    name: ClassVar[str] = "fallback.failed"
    alternative: str
    error: BaseException
    failure: BaseException


def to(alternative: object, *, on: Errors = Exception) -> "To":
    """Answer with *alternative* when what is below fails with an error that *on* means.

    *alternative* is a value, or a callable, sync or async, that is called without arguments, or with the error when it
    has one parameter without a default; a function wrapped by another pipeline is one. Every call gets the same value:
    for a fresh list write ``fallback.to(list)``.

    *on* is read as in ``retry.on``: classes, an instance, a predicate or a tuple of these; of an exception group every
    leaf must be meant. Other than there, a class or predicate that takes in :class:`longrun.Rejected` means it: a
    refused call is what a fallback is for. Cancellation is never caught. When *alternative* fails its own error comes
    out, with the call's error as its ``__context__``. PipelineError for an alternative that cannot be called so.
    """
    return To(alternative, on)


class To(Layer):
    """The option that ``fallback.to`` makes."""

    __slots__ = ("_answer", "_cover", "words")

    def __init__(self, alternative: object, on: Errors) -> None:
        self._cover = Cover(on)
        self._answer = _callable(alternative)
        self.words = _words(alternative)

    def build(self, site: Site) -> "Fallback":
        return Fallback(self._answer, self._cover, self.words, site)

    def describe(self) -> str:
        return f"fallback to {self.words} on {self._cover.description}"


class Fallback:
    """What wraps the calls of a pipeline."""

    __slots__ = ("_answer", "_cover", "_site", "_words")

    def __init__(self, answer: Callable[[Exception], object], cover: "Cover", words: str, site: Site) -> None:
        self._answer = answer
        self._cover = cover
        self._words = words
        self._site = site

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        try:
            return await call()
        except Exception as error:
            if not self._cover.means(error):
                raise
            listeners = with_ambient(self._site.listeners)
            try:
                answer = self._answer(error)
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as failure:
                if listeners:
                    emit(listeners, FallbackFailed(self._site.name, self._words, error, failure))
                raise
            if listeners:
                emit(listeners, FallbackUsed(self._site.name, self._words, error))
            return cast("T", answer)

    def describe(self) -> str:
        return f"fallback to {self._words} on {self._cover.description}"


class Cover:
    """Which errors a fallback means."""

    __slots__ = ("_matcher", "_on", "description")

    def __init__(self, on: Errors) -> None:
        self._matcher = Matcher(on, what="fallback.to on")
        self._on = on
        self.description = self._matcher.description

    def means(self, error: Exception) -> bool:
        """Whether *error*, or every leaf of it, is meant. A predicate that raises has no opinion, and is logged."""
        try:
            return self._matcher.matches_whole(error) or all(self._means_leaf(leaf) for leaf in leaves(error))
        except Exception:  # noqa: BLE001 - foreign code; it must not take the place of the failure
            _log.exception("judging %s failed; no fallback is used", type(error).__name__)
            return False

    def _means_leaf(self, leaf: BaseException) -> bool:
        if self._matcher.matches(leaf):
            return True
        return isinstance(leaf, Rejected) and (self._matcher.means(type(leaf)) or _says_so(self._on, leaf))


def _says_so(on: Errors, refused: Rejected) -> bool:
    """Whether a predicate of *on* means *refused*; a Matcher asks none about it."""
    if isinstance(on, tuple):
        return any(_says_so(member, refused) for member in on)
    return callable(on) and not isinstance(on, type | BaseException | Live) and bool(on(refused))


def _callable(alternative: object) -> Callable[[Exception], object]:
    if isinstance(alternative, BaseException) or (
        isinstance(alternative, type) and issubclass(alternative, BaseException)
    ):
        raise PipelineError(
            f"fallback.to was given the error {alternative!r}, which would be returned; give a function that raises it"
        )
    if inspect.isawaitable(alternative):
        if inspect.iscoroutine(alternative):
            alternative.close()
        raise PipelineError(
            f"fallback.to was given {alternative!r}, which can be awaited only once; give the async function itself"
        )
    if not callable(alternative):
        return lambda _error: alternative
    answer = cast("Callable[..., object]", alternative)
    return answer if _takes_the_error(answer) else lambda _error: answer()


def _takes_the_error(fn: Callable[..., Any]) -> bool:
    """True for one positional parameter without a default, False for none; PipelineError for what cannot be called."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return False  # a builtin that does not tell, such as dict
    needed = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(needed) > 1 or any(p.kind is p.KEYWORD_ONLY for p in needed):
        names = ", ".join(p.name for p in needed)
        raise PipelineError(f"fallback.to calls {_words(fn)} with the error at most, and it needs {names}; wrap it")
    return bool(needed)


def _words(alternative: object) -> str:
    if not callable(alternative):
        return repr(alternative)
    return str(getattr(alternative, "__qualname__", None) or repr(alternative))
