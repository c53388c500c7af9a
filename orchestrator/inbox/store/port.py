"""The port between the inbox and a kind of database."""

from collections.abc import Sequence
from typing import Protocol

from orchestrator.contracts import Connection
from orchestrator.inbox.machine import State
from orchestrator.inbox.store.records import (
    Claimed,
    ClaimRequest,
    Event,
    Hold,
    NewRun,
    Page,
    Promoted,
    Renewal,
    RunRecord,
    Settled,
    Stats,
    Stored,
    Swept,
    Turn,
)


class Store(Protocol):
    """Units of work on the tables of the inbox, each a plain function over a connection that is in a transaction.

    They may be joined in one transaction. Every change writes its event rows with it. Times are the store's own: of the
    database's clock where it has one. Durations are seconds. Those that take many runs take them in one statement or
    one short loop, whatever their number; a hold is given once in a call.
    """

    @property
    def steps(self) -> Sequence[str]:
        """The numbered migrations."""
        ...

    def insert(self, connection: Connection, runs: Sequence[NewRun]) -> Sequence[Stored]:
        """Store *runs*, in their order; of those whose key is taken already, the run that has it."""
        ...

    def claim(self, connection: Connection, request: ClaimRequest) -> Sequence[Claimed]:
        """Take due runs by priority, then run_at, then id; fewer than the limit when others take theirs meanwhile.

        Runs that were claimed too often are failed on the way, types that are switched off in the registry and runs
        that another program has marked as deleted are left alone, types whose total another worker is counting are
        left out: a worker that is frozen holds up no other. A crash of the database server may undo a claim
        that was its transaction's only change, but never what was settled or stored with it.
        """
        ...

    def settle(self, connection: Connection, outcomes: Sequence[Settled]) -> frozenset[Hold]:
        """Write how executions ended; the holds that do not match any more, under which nothing was changed."""
        ...

    def turn(self, connection: Connection, outcomes: Sequence[Settled], request: ClaimRequest | None) -> Turn:
        """:meth:`settle` and :meth:`claim` at once, the one thing that a busy poller does."""
        ...

    def checkpoint(self, connection: Connection, run_id: str) -> bytes | None:
        """What was kept with the run by :meth:`keep`; None when nothing was. A run that succeeded has nothing."""
        ...

    def keep(self, connection: Connection, hold: Hold, state: bytes | None) -> bool:
        """Keep *state* with the run, in the place of what was kept; False when *hold* does not match."""
        ...

    def heartbeat(self, connection: Connection, holds: Sequence[Hold], lease: float, *, audit: bool = False) -> Renewal:
        """Renew those *holds* that still match for *lease* seconds from now, and tell about the others.

        It waits for no row that another transaction has locked, or the other leases would end meanwhile. *audit*
        records each renewal as an event.
        """
        ...

    def sweep(self, connection: Connection, limit: int) -> Swept:
        """Bring back up to *limit* runs whose lease expired; those that expired too often are failed."""
        ...

    def promote(self, connection: Connection, limit: int) -> Promoted:
        """Make up to *limit* runs claimable whose time has come: retries, delayed ones and those for a later time.

        A claim does not see them before; so it never walks over what is not due yet.
        """
        ...

    def purge(self, connection: Connection, older_than: float, states: Sequence[State], limit: int) -> int:
        """Delete up to *limit* runs that ended more than *older_than* seconds ago, with their events; how many."""
        ...

    def cancel(self, connection: Connection, run_id: str) -> None:
        """Cancel the run, also when it is leased. Raises UnknownRun and AlreadyFinished; twice is once."""
        ...

    def requeue(self, connection: Connection, run_id: str) -> None:
        """Make a failed or cancelled run pending again, with new counters. Raises UnknownRun and AlreadyFinished.

        A key that is taken only while its run is active is taken again, unless another run has it by now.
        """
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

    def stats(self, connection: Connection, *, ended: bool = True) -> Stats:
        """How many runs are in each state. Without *ended* only those that have not ended: cheap, however many have."""
        ...

    def register(self, connection: Connection, types: Sequence[str]) -> None:
        """Make *types* known in the registry, where each can be switched off."""
        ...

    def pulse(self, connection: Connection) -> object:
        """A cheap value that differs when anything may have been stored since it was last asked for.

        None where the database cannot tell.
        """
        ...
