"""The port between the inbox and a kind of database."""

from collections.abc import Sequence
from typing import Protocol

from orchestrator.contracts import Connection
from orchestrator.inbox.machine import State
from orchestrator.inbox.records import Claimed, Event, Hold, NewRun, Page, Renewal, RunRecord, Stats, Swept


class Store(Protocol):
    """Units of work on the tables of the inbox, each a plain function over a connection that is in a transaction.

    They may be joined in one transaction. Every change writes its event rows with it. Times are the store's own: of the
    database's clock where it has one. Durations are seconds. Those that name a :class:`Hold` change nothing and raise
    LeaseLost when it does not match any more, and leave the transaction usable.
    """

    @property
    def steps(self) -> Sequence[str]:
        """The numbered migrations."""
        ...

    def insert(self, connection: Connection, runs: Sequence[NewRun]) -> Sequence[str]:
        """Store *runs*; the id of each, or of the run that has its idempotency key already."""
        ...

    def claim(
        self,
        connection: Connection,
        worker: str,
        types: Sequence[str],
        limit: int,
        lease: float,
        *,
        oldest_first: bool = False,
    ) -> Sequence[Claimed]:
        """Take up to *limit* due runs of exactly these *types*, by priority, then run_at, then id.

        *oldest_first* leaves the priority out. Runs that were claimed too often are failed on the way, types that are
        switched off in the registry are left alone.
        """
        ...

    def succeed(self, connection: Connection, hold: Hold, result: str) -> None:
        """The handler returned *result* (JSON text)."""
        ...

    def fail(self, connection: Connection, hold: Hold, error: str, retry_in: float | None) -> None:
        """The handler raised; it is tried again in *retry_in* seconds, or never (None)."""
        ...

    def release(self, connection: Connection, hold: Hold) -> None:
        """Give the run back as if it had never been claimed."""
        ...

    def heartbeat(self, connection: Connection, holds: Sequence[Hold], lease: float, *, audit: bool = False) -> Renewal:
        """Renew those *holds* that still match for *lease* seconds from now, and tell about the others.

        *audit* records each renewal as an event.
        """
        ...

    def sweep(self, connection: Connection, limit: int) -> Swept:
        """Bring back up to *limit* runs whose lease expired; those that expired too often are failed."""
        ...

    def cancel(self, connection: Connection, run_id: str) -> None:
        """Cancel the run, also when it is leased. Raises UnknownRun and AlreadyFinished; twice is once."""
        ...

    def requeue(self, connection: Connection, run_id: str) -> None:
        """Make a failed or cancelled run pending again, with new counters. Raises UnknownRun and AlreadyFinished."""
        ...

    def get(self, connection: Connection, run_id: str) -> RunRecord:
        """The run. Raises UnknownRun."""
        ...

    def list(
        self,
        connection: Connection,
        *,
        type: str | None,  # noqa: A002 - the wire's own word
        state: State | None,
        idempotency_key: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page:
        """Runs that match, newest first, from behind *cursor*. Raises InvalidQuery for a cursor not of this store."""
        ...

    def events(self, connection: Connection, run_id: str) -> Sequence[Event]:
        """The history of the run, oldest first. Raises UnknownRun."""
        ...

    def stats(self, connection: Connection) -> Stats:
        """How many runs are in each state."""
        ...

    def register(self, connection: Connection, types: Sequence[str]) -> None:
        """Make *types* known in the registry, where each can be switched off."""
        ...

    def pulse(self, connection: Connection) -> object:
        """A cheap value that differs when anything may have been stored since it was last asked for."""
        ...
