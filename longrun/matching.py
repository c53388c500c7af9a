"""Which errors a retry rule means: classes, single errors by identity, predicates, or a tuple of these."""

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from longrun.capabilities import retry_after
from longrun.errors import PipelineError, Rejected

#: What ``retry.on`` takes. A predicate is asked for each leaf of an exception group.
Errors: TypeAlias = "type[BaseException] | BaseException | Callable[[Exception], bool] | Live | tuple[Errors, ...]"


@runtime_checkable
class Live(Protocol):
    """A named set of errors that may change while rules hold it: a ``retry.Registry``."""

    @property
    def name(self) -> str: ...

    def current(self) -> "Matcher | None":
        """What the set means at this moment; None while it is empty."""
        ...


class Unwanted(Exception):
    """A returned value that a rule about results does not accept; it lives inside the retry loop only."""

    def __init__(self, value: object) -> None:
        super().__init__("the returned value was not accepted")
        self.value = value
        self.retry_after = retry_after(value)


class Matcher:
    """Says whether a single error (a leaf, never a group) is meant.

    The error itself is looked at, not what caused it: ``raise Refused() from ConnectionError()`` is a Refused. A
    :class:`Rejected` error matches only when a class under it is named (or the very instance): retrying a call that an
    open circuit refused would defeat the circuit. With *results* it means unwanted results, else errors: neither kind
    of rule is ever asked about the other.
    """

    __slots__ = ("_classes", "_instances", "_live", "_predicates", "_results", "_wanted", "_what", "description")

    def __init__(self, errors: Errors, *, results: bool = False, what: str = "retry.on") -> None:
        self._results = results
        self._what = what
        self._classes: list[type[BaseException]] = []
        self._instances: list[BaseException] = []
        self._predicates: list[Callable[[Exception], bool]] = []
        self._live: list[Live] = []
        self._add(errors)
        self._wanted = tuple(self._classes)
        names = [*(wanted.__name__ for wanted in self._classes), *(repr(wanted) for wanted in self._instances)]
        names += [str(getattr(wanted, "__qualname__", wanted)) for wanted in self._predicates]
        names += [f"registry {wanted.name!r}" for wanted in self._live]
        if not names:
            raise PipelineError(f"{what} was given an empty tuple of errors; name at least one")
        self.description = " or ".join(names)

    @property
    def catches_all(self) -> bool:
        """Whether this matcher takes any error: such a rule is asked last."""
        return Exception in self._classes or any(matcher.catches_all for matcher in self._current())

    def matches(self, error: BaseException) -> bool:
        """Whether the leaf *error* is meant."""
        if not isinstance(error, Exception) or isinstance(error, Unwanted) is not self._results:
            return False
        if self._instances and any(error is wanted for wanted in self._instances):
            return True
        if self._live and any(matcher.matches(error) for matcher in self._current()):
            return True
        if isinstance(error, Rejected):
            return any(isinstance(error, c) for c in self._classes if issubclass(c, Rejected))
        if isinstance(error, self._wanted):
            return True
        return bool(self._predicates) and any(predicate(error) for predicate in self._predicates)

    def matches_whole(self, error: BaseException) -> bool:
        """Whether an exception group is meant as such: its class is named, or the very instance."""
        if any(error is wanted for wanted in self._instances):
            return True
        if any(matcher.matches_whole(error) for matcher in self._current()):
            return True
        return any(issubclass(c, BaseExceptionGroup) and isinstance(error, c) for c in self._classes)

    def means(self, kind: type[BaseException]) -> bool:
        """Whether the class *kind*, or one above it, is named."""
        return issubclass(kind, tuple(self._classes)) or any(matcher.means(kind) for matcher in self._current())

    def _current(self) -> "list[Matcher]":
        return [matcher for live in self._live if (matcher := live.current()) is not None]

    def _add(self, errors: Errors) -> None:
        if isinstance(errors, tuple):
            for member in errors:
                self._add(member)
        elif isinstance(errors, type) and issubclass(errors, BaseException):
            if not issubclass(errors, Exception | BaseExceptionGroup):
                raise PipelineError(
                    f"{self._what} was given {errors.__name__}; cancellation and exit are no failures; name others"
                )
            self._classes.append(errors)
        elif isinstance(errors, BaseException):
            self._instances.append(errors)
        elif isinstance(errors, Live) and not isinstance(errors, type):
            self._live.append(errors)
        elif callable(errors) and not isinstance(errors, type):
            self._predicates.append(errors)
        else:
            raise PipelineError(
                f"{self._what} was given {errors!r}; give exception classes, an exception, a predicate, "
                "a retry.Registry or a tuple of these"
            )
