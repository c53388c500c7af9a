"""The writing of outcomes, many in one transaction."""

from collections import deque
from collections.abc import Sequence

import anyio

from orchestrator.contracts import Database
from orchestrator.inbox.errors import InboxError, LeaseLost
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import Hold, Outcome, Settled


class _Ticket:
    def __init__(self, hold: Hold, outcome: Outcome) -> None:
        self.hold = hold
        self.outcome = outcome
        self.done = False
        self.error: Exception | None = None


class Settlement:
    """Writes outcomes. Those that arrive while one is being written share the next transaction.

    A commit is one wait for the disk; so shared, a busy poller pays it once for many runs.
    """

    def __init__(self, database: Database, store: Store, largest: int = 200) -> None:
        self._database = database
        self._store = store
        self._largest = largest
        self._waiting: deque[_Ticket] = deque()
        self._turn = anyio.Lock()

    async def __call__(self, hold: Hold, outcome: Outcome) -> None:
        """Write *outcome*, whatever is cancelled meanwhile. Raises LeaseLost and SqlError."""
        ticket = _Ticket(hold, outcome)
        self._waiting.append(ticket)
        with anyio.CancelScope(shield=True):
            async with self._turn:
                if not ticket.done:
                    await self._write([self._waiting.popleft() for _ in range(min(len(self._waiting), self._largest))])
        if ticket.error is not None:
            raise ticket.error

    async def _write(self, tickets: Sequence[_Ticket]) -> None:
        error: Exception | None = InboxError("the write of this outcome was abandoned; its lease will expire")
        lost: frozenset[Hold] = frozenset()
        outcomes = [Settled(ticket.hold, ticket.outcome) for ticket in tickets]
        try:
            lost = await self._database.transaction(lambda connection: self._store.settle(connection, outcomes))
            error = None
        except Exception as failure:  # noqa: BLE001 - each of those who share the transaction raises it
            error = failure
        finally:
            for ticket in tickets:
                ticket.done = True
                ticket.error = _lost(ticket.hold) if error is None and ticket.hold in lost else error


def _lost(hold: Hold) -> LeaseLost:
    return LeaseLost(hold.run_id, hold.worker, hold.fence)
