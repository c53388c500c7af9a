"""Units of work that are one statement each, for a connection that does nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from orchestrator.inbox.store.records import ClaimRequest, NewRun, Settled, Turn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """A statement with its *values* as texts, and what its rows mean."""

    statement: str
    values: Mapping[str, str | None]
    read: Callable[[Sequence[tuple[Any, ...]]], T]


@runtime_checkable
class Direct(Protocol):
    """A store whose hottest units of work are a statement, in a session that was prepared by :attr:`session`."""

    @property
    def session(self) -> str:
        """Statements."""
        ...

    @property
    def settling(self) -> str:
        """The same for a session of :meth:`turning`, which waits a second at most for what somebody has locked."""
        ...

    @property
    def keyed(self) -> str:
        """The same for a session of :meth:`inserting` runs with keys, which waits a fifth of a second at most for
        another transaction that is not committed and has one of them."""
        ...

    def turning(self, outcomes: Sequence[Settled], request: ClaimRequest | None) -> Query[Turn] | None:
        """:meth:`Store.turn`, but what had to be refused is not made up for; None when one statement cannot do it."""
        ...

    def inserting(self, runs: Sequence[NewRun]) -> Query[frozenset[str]]:
        """:meth:`Store.insert`: the ids of those that were stored, and not those whose key is taken."""
        ...
