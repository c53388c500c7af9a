"""Registry: a named set of temporary errors that rules hold while it still changes."""

import socket
from collections.abc import Iterator
from threading import Lock

from longrun.errors import PipelineError
from longrun.failure.classify import NETWORK_ERRNOS as NETWORK_ERRNOS
from longrun.matching import Errors, Live, Matcher


class Registry:
    """Errors that are known to pass: what ``retry.on(registry, ...)`` retries.

    It holds what ``retry.on`` takes: classes (with their subclasses), single errors by identity, predicates. A rule
    that was built with a registry sees every later change. An empty registry means no error. Safe to use from several
    threads: whoever asks sees the set before a change or after it.
    """

    __slots__ = ("_errors", "_lock", "_matcher", "name")

    def __init__(self, name: str = "temporary", *errors: Errors) -> None:
        if not isinstance(name, str) or not name:
            raise PipelineError(f"the name of a retry.Registry is {name!r}; give a short text, for example 'github'")
        self.name = name
        self._lock = Lock()
        self._errors: tuple[Errors, ...] = ()
        self._matcher: Matcher | None = None
        self.register(*errors)

    def register(self, *errors: Errors) -> "Registry":
        """Add *errors*; what is known already is not added again. Returns the registry.

        PipelineError, with nothing added, for what ``retry.on`` would refuse, and for another registry.
        """
        added = _flat(errors)
        with self._lock:
            known = list(self._errors)
            known.extend(error for error in added if not _held(known, error))
            self._replace(known)
        return self

    def unregister(self, *errors: Errors) -> "Registry":
        """Take out exactly *errors*: a class takes no other class with it. What is not in it is not missed."""
        removed = _flat(errors)
        with self._lock:
            self._replace([error for error in self._errors if not _held(removed, error)])
        return self

    def clean(self) -> "Registry":
        """Take out everything: from now on no error is meant."""
        with self._lock:
            self._replace([])
        return self

    def load_defaults(self) -> "Registry":
        """Add the failures of a network that pass by themselves; what is in it stays.

        Connections refused, reset, aborted or broken; hosts and networks out of reach; names that do not resolve; the
        end of a stream where more was due; time-outs, those of ``timeout.after`` too. Of the standard library and of
        anyio; an HTTP client's own errors are known to ``preset.http``.
        """
        return self.register(*_defaults())

    def contains(self, error: BaseException | type[BaseException]) -> bool:
        """Whether *error* is temporary: it is of a class in the set, is in it itself, or a predicate says so.

        A class is asked about as such: it, or one above it, is in the set.
        """
        matcher = self._matcher
        if matcher is None:
            return False
        return matcher.means(error) if isinstance(error, type) else matcher.matches(error)

    def current(self) -> Matcher | None:
        """What it means at this moment; None while it is empty."""
        return self._matcher

    def __contains__(self, error: BaseException | type[BaseException]) -> bool:
        return self.contains(error)

    def __iter__(self) -> Iterator[Errors]:
        return iter(self._errors)

    def __len__(self) -> int:
        return len(self._errors)

    def __bool__(self) -> bool:
        return True  # an empty registry is a registry

    def __repr__(self) -> str:
        return f"<Registry {self.name}: {self._matcher.description if self._matcher else 'empty'}>"

    def _replace(self, errors: list[Errors]) -> None:
        self._matcher = Matcher(tuple(errors)) if errors else None
        self._errors = tuple(errors)


def unreachable(error: Exception) -> bool:
    """An OSError of the way there: network or host down or out of reach, no address left, not connected."""
    return isinstance(error, OSError) and error.errno in NETWORK_ERRNOS


def _defaults() -> tuple[Errors, ...]:
    import anyio

    return (
        ConnectionError,
        TimeoutError,
        EOFError,
        socket.gaierror,
        socket.herror,
        unreachable,
        anyio.BrokenResourceError,
        anyio.EndOfStream,
        anyio.IncompleteRead,
    )


def _flat(errors: tuple[Errors, ...]) -> list[Errors]:
    """*errors* one by one, each checked."""
    flat: list[Errors] = []
    for error in errors:
        if isinstance(error, tuple):
            flat.extend(_flat(error))
        elif isinstance(error, Live):
            raise PipelineError(f"a registry was given {error!r} to hold; give both to the rule: retry.on((a, b))")
        else:
            Matcher(error)  # refuses what no rule could mean
            flat.append(error)
    return flat


def _held(errors: list[Errors], wanted: Errors) -> bool:
    # An error of foreign code may be equal to another: only the very same is meant. Bound methods are new each time.
    return any(wanted is error or (not isinstance(error, BaseException) and wanted == error) for error in errors)
