"""Pressure: which failures say that the other side is overloaded."""

import logging
from collections.abc import Callable
from typing import TypeAlias

from longrun.chain import leaves
from longrun.errors import PipelineError, Rejected
from longrun.failure.category import Category
from longrun.failure.classify import classify

_log = logging.getLogger("longrun.shed")

#: What the keyword ``on`` takes: exception classes, or a predicate. None is :func:`overload`.
On: TypeAlias = "type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool] | None"


def overload(error: Exception) -> bool:
    """The default: a :class:`Rejected` from below, or a failure of the service or of the way to it.

    That is what :func:`longrun.classify` calls SERVICE (a wait hint, ``service_pressure``, ``retryable``) or NODE
    (time-outs, connections, DNS). Any other failure is an answer: a server that says 404 is not overloaded.
    """
    return isinstance(error, Rejected) or classify(error).category in (Category.SERVICE, Category.NODE)


class Pressure:
    """Says whether a failed call is a sign of overload. Of an exception group one such leaf is enough."""

    __slots__ = ("_classes", "_predicate")

    def __init__(self, on: On, what: str) -> None:
        classes = on if isinstance(on, tuple) else (on,)
        self._classes: tuple[type[Exception], ...] = ()
        self._predicate: Callable[[Exception], bool] | None = None
        if on is None:
            self._predicate = overload
        elif classes and all(isinstance(each, type) and issubclass(each, Exception) for each in classes):
            self._classes = tuple(each for each in classes if isinstance(each, type))
        elif callable(on) and not isinstance(on, type):
            self._predicate = on
        else:
            raise PipelineError(
                f"{what} on is {on!r}; give Exception classes (cancellation is never counted), "
                "a predicate (error) -> bool, or leave it out"
            )

    def __call__(self, error: Exception) -> bool:
        if self._predicate is None:
            return isinstance(error, self._classes) or any(isinstance(leaf, self._classes) for leaf in leaves(error))
        predicate = self._predicate
        try:
            return any(predicate(leaf) for leaf in leaves(error) if isinstance(leaf, Exception))
        except Exception:  # noqa: BLE001 - a predicate is foreign code; it must not take the place of the failure
            _log.exception("predicate %r failed on %s; it is not counted as overload", predicate, type(error).__name__)
            return False
