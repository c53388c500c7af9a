"""Where intents are submitted and looked at."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from orchestrator.contracts import Connection, Database
from orchestrator.inbox.bell import Bell
from orchestrator.inbox.errors import InvalidQuery
from orchestrator.inbox.ids import RunIds
from orchestrator.inbox.intent import Intent
from orchestrator.inbox.machine import State
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import Event, NewRun, Page, RunRecord, Stats
from orchestrator.inbox.store.sqlite.store import SqliteStore
from orchestrator.inbox.wire import PAYLOAD_LIMIT
from orchestrator.sql import open_database

#: The name of the inbox in the migrations.
BATTERY = "inbox"

#: The most runs on one page of a listing.
LARGEST_PAGE = 1000


def _store_for(database: Database, now: Callable[[], datetime]) -> Store:
    """The adapter for the kind of database that *database* is."""
    if getattr(database, "dialect", "sqlite") == "sqlite":
        return SqliteStore(now)
    from orchestrator.inbox.store.postgres.store import PostgresStore  # the driver is loaded only where it is used

    return PostgresStore(getattr(database, "schema", "workflow"))


def _utc() -> datetime:
    return datetime.now(UTC)


class Inbox:
    """The port :class:`orchestrator.contracts.Inbox` over a database, and what an operator asks of it.

    Every method raises :class:`orchestrator.sql.SqlError` when the database cannot do it.
    """

    def __init__(
        self, database: Database, store: Store, *, ids: Callable[[], str], payload_limit: int = PAYLOAD_LIMIT
    ) -> None:
        self.database = database
        self.store = store
        self.bell = Bell()
        self.cancellations = 0
        """How many runs were cancelled here; it tells the pollers of this process to look after theirs at once."""
        self._ids = ids
        self._payload_limit = payload_limit

    @classmethod
    def over(
        cls, database: Database, *, now: Callable[[], datetime] = _utc, payload_limit: int = PAYLOAD_LIMIT
    ) -> "Inbox":
        """An inbox in a database that is open already; call :meth:`migrate` once before its use."""
        return cls(database, _store_for(database, now), ids=RunIds(now), payload_limit=payload_limit)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        url: str,
        *,
        migrate: bool = True,
        exclusive: bool = False,
        now: Callable[[], datetime] = _utc,
        payload_limit: int = PAYLOAD_LIMIT,
    ) -> AsyncIterator["Inbox"]:
        """An inbox at *url*: ``sqlite:///absolute``, ``sqlite://relative``, ``sqlite://:memory:``, ``postgresql://...``.

        *exclusive* takes the lock of a service beside a SQLite file. *payload_limit*: bytes of JSON. On PostgreSQL all
        times are the server's, and *now* is not asked for them.
        """
        async with open_database(url, exclusive=exclusive, now=now) as database:
            inbox = cls.over(database, now=now, payload_limit=payload_limit)
            if migrate:
                await inbox.migrate()
            yield inbox

    async def migrate(self) -> None:
        """Bring the tables to the version of this code; safe on a simple-workflow database, drops no data."""
        await self.database.migrate(BATTERY, self.store.steps)

    async def submit(
        self,
        type: str,  # noqa: A002 - the wire's own word
        payload: object,
        *,
        idempotency_key: str | None = None,
        priority: int = 100,
        delay: float = 0.0,
        run_at: datetime | None = None,
        max_attempts: int = 3,
    ) -> str:
        """Store the intent durably and return its run id; the id of the existing run when the key is already known.

        Raises InvalidIntent and its kinds, with nothing stored.
        """
        intent = Intent(
            type,
            payload,
            idempotency_key=idempotency_key,
            priority=priority,
            delay=delay,
            run_at=run_at,
            max_attempts=max_attempts,
        )
        return (await self.submit_many([intent]))[0]

    async def submit_many(self, intents: Sequence[Intent]) -> Sequence[str]:
        """Store all of *intents* in one transaction, or none; their run ids in the same order."""
        runs = [self._new(intent) for intent in intents]
        if not runs:
            return []
        stored = await self.database.transaction(lambda connection: self.store.insert(connection, runs))
        self.bell.ring()
        return [each.id for each in stored]

    def submit_in(
        self,
        connection: Connection,
        type: str,  # noqa: A002 - the wire's own word
        payload: object,
        *,
        idempotency_key: str | None = None,
        priority: int = 100,
        delay: float = 0.0,
        run_at: datetime | None = None,
        max_attempts: int = 3,
    ) -> str:
        """The same inside the caller's transaction on the same database: both are stored or neither is.

        Pollers notice at their next look, a tenth of a second later by default.
        """
        intent = Intent(
            type,
            payload,
            idempotency_key=idempotency_key,
            priority=priority,
            delay=delay,
            run_at=run_at,
            max_attempts=max_attempts,
        )
        return self.store.insert(connection, [self._new(intent)])[0].id

    async def cancel(self, run_id: str) -> None:
        """Cancel the run at once, also while it runs: its outcome is refused and its handler is cancelled.

        Again is no error. Raises UnknownRun, and AlreadyFinished when it succeeded or failed.
        """
        await self.database.transaction(lambda connection: self.store.cancel(connection, run_id))
        self.cancellations += 1
        self.bell.ring()

    async def retry(self, run_id: str) -> None:
        """Run a failed or cancelled run again, now, with its counters at zero. Raises UnknownRun, AlreadyFinished."""
        await self.database.transaction(lambda connection: self.store.requeue(connection, run_id))
        self.bell.ring()

    async def get(self, run_id: str) -> RunRecord:
        """The run as it is stored. Raises UnknownRun."""
        return await self.database.read(lambda connection: self.store.get(connection, run_id))

    async def list(
        self,
        *,
        type: str | None = None,  # noqa: A002 - the wire's own word
        state: State | str | None = None,
        idempotency_key: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Runs, newest first; ``Page.next`` is the *cursor* of the page behind it. Raises InvalidQuery."""
        if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LARGEST_PAGE:
            raise InvalidQuery(f"limit is {limit!r}; give a whole number from 1 to {LARGEST_PAGE}")
        try:
            wanted = None if state is None else State(state)
        except ValueError:
            raise InvalidQuery(f"state is {state!r}; use one of {', '.join(State)}") from None
        return await self.database.read(
            lambda connection: self.store.list(
                connection, type=type, state=wanted, idempotency_key=idempotency_key, limit=limit, cursor=cursor
            )
        )

    async def events(self, run_id: str) -> Sequence[Event]:
        """The history of the run, oldest first. Raises UnknownRun."""
        return await self.database.read(lambda connection: self.store.events(connection, run_id))

    async def stats(self) -> Stats:
        """How many runs are in each state, by type."""
        return await self.database.read(self.store.stats)

    def _new(self, intent: Intent) -> NewRun:
        return NewRun(
            id=self._ids(),
            type=intent.type,
            payload=intent.encoded(self._payload_limit),
            idempotency_key=intent.idempotency_key,
            priority=intent.priority,
            delay=float(intent.delay),
            run_at=intent.run_at,
            max_attempts=intent.max_attempts,
        )
