"""How executions end, and the writing of it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from orchestrator.contracts import Connection, Database
from orchestrator.inbox.errors import InboxError, LeaseLost
from orchestrator.inbox.records import Hold
from orchestrator.inbox.store import Store


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler returned; *result* is JSON text."""

    result: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler raised; tried again in *retry_in* seconds, or never (None)."""

    error: str
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class Released:
    """The handler did not come to an end by its own doing."""


Outcome = Succeeded | Failed | Released


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
        lost: dict[Hold, LeaseLost] = {}
        try:
            lost = await self._database.transaction(lambda connection: self._apply(connection, tickets))
            error = None
        except Exception as failure:  # noqa: BLE001 - each of those who share the transaction raises it
            error = failure
        finally:
            for ticket in tickets:
                ticket.done = True
                ticket.error = error if error is not None else lost.get(ticket.hold)

    def _apply(self, connection: Connection, tickets: Sequence[_Ticket]) -> dict[Hold, LeaseLost]:
        lost = {}
        for ticket in tickets:
            try:
                match ticket.outcome:
                    case Succeeded(result):
                        self._store.succeed(connection, ticket.hold, result)
                    case Failed(error, retry_in):
                        self._store.fail(connection, ticket.hold, error, retry_in)
                    case Released():
                        self._store.release(connection, ticket.hold)
            except LeaseLost as late:
                lost[ticket.hold] = late
        return lost
