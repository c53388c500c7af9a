"""Where intents are submitted and looked at."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from orchestrator.contracts import Connection, Database
from orchestrator.inbox import joining, registry
from orchestrator.inbox.announcing import Announcer
from orchestrator.inbox.bell import Bell
from orchestrator.inbox.errors import AlreadyFinished, InvalidIntent, InvalidQuery, UnknownRun, WrongConnection
from orchestrator.inbox.ids import RunIds, as_stored
from orchestrator.inbox.intent import Intent
from orchestrator.inbox.machine import State
from orchestrator.inbox.registry import RegisteredType
from orchestrator.inbox.retention import ENDED, Purge
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import Event, NewRun, Page, RunRecord, Stats
from orchestrator.inbox.store.sqlite.store import SqliteStore
from orchestrator.inbox.submission import Submissions, Submitted
from orchestrator.inbox.tables import BATTERY, Migrations, Tables
from orchestrator.inbox.wire import PAYLOAD_LIMIT, is_text
from orchestrator.sql import dialect_of, open_database, schema_of

__all__ = ["BATTERY", "Inbox"]

if TYPE_CHECKING:
    from orchestrator.inbox.schedules.builder import ScheduleBuilder
    from orchestrator.inbox.schedules.schedules import Schedules
    from orchestrator.inbox.worker.handlers import Handlers
    from orchestrator.inbox.worker.poller import Poller

#: The most runs on one page of a listing.
LARGEST_PAGE = 1000

#: Runs in one transaction of :meth:`Inbox.retry_many`.
RETRIED_AT_ONCE = 100


def _store_for(database: Database, now: Callable[[], datetime]) -> Store:
    """The adapter for the kind of database that *database* is."""
    if dialect_of(database) == "sqlite":
        return SqliteStore(now)
    from orchestrator.inbox.store.postgres.store import PostgresStore  # the driver is loaded only where it is used

    return PostgresStore(schema_of(database))


def _utc() -> datetime:
    return datetime.now(UTC)


class Inbox:
    """The port :class:`orchestrator.contracts.Inbox` over a database, and what an operator asks of it.

    Every method raises :class:`orchestrator.sql.SqlError` when the database cannot do it; among them SchemaOlder and
    SchemaNewer, when the tables are not those of this code.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        *,
        ids: Callable[[], str],
        now: Callable[[], datetime] = _utc,
        payload_limit: int = PAYLOAD_LIMIT,
        notify: bool = True,
    ) -> None:
        self.database = database
        self.store = store
        self.tables = Tables(database, store.steps)
        self.bell = Bell()
        self.cancellations = 0
        """How many runs were cancelled here; it tells the pollers of this process to look after theirs at once."""
        self._ids = ids
        self._now = now
        self._payload_limit = payload_limit
        self.announcer = Announcer(database, self.bell, notify=notify)
        self._submissions = Submissions(database, store, self._stored)
        self._joined = joining.sqlite if isinstance(store, SqliteStore) else joining.postgres
        self.purging = Purge(self.tables.transaction, store)

    @classmethod
    def over(
        cls,
        database: Database,
        *,
        now: Callable[[], datetime] = _utc,
        payload_limit: int = PAYLOAD_LIMIT,
        notify: bool = True,
    ) -> "Inbox":
        """An inbox in a database that is open already; call :meth:`migrate` once before its use.

        *notify*: off where notifications do not pass, as through pgbouncer; workers then find out by polling.
        """
        if not all(hasattr(database, part) for part in ("transaction", "read", "migrate")):
            raise WrongConnection(
                f"Inbox.over() was given {type(database).__module__}.{type(database).__qualname__}; give it a database "
                "of orchestrator.sql.open_database(url), or use Inbox.open(url), which keeps a pool of its own"
            )
        store = _store_for(database, now)
        return cls(database, store, ids=RunIds(now), now=now, payload_limit=payload_limit, notify=notify)

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
        notify: bool = True,
    ) -> AsyncIterator["Inbox"]:
        """An inbox at *url*: ``sqlite:///absolute``, ``sqlite://relative``, ``sqlite://:memory:``, ``postgresql://...``.

        *exclusive* takes the lock of a service beside a SQLite file. *payload_limit*: bytes of JSON. On PostgreSQL all
        times are the server's, and *now* is asked for the ids alone. *notify* as in :meth:`over`.
        """
        async with open_database(url, exclusive=exclusive, now=now) as database:
            inbox = cls.over(database, now=now, payload_limit=payload_limit, notify=notify)
            if migrate:
                await inbox.migrate()
            yield inbox

    def poller(
        self,
        handlers: "Handlers",
        *,
        worker_id: str | None = None,
        lease: float = 30.0,
        poll_interval: float = 2.0,
        prefixes: Sequence[str] | None = None,
        concurrency: int = 10,
        drain: float = 10.0,
    ) -> "Poller":
        """A :class:`Poller` on this inbox."""
        from orchestrator.inbox.worker.poller import Poller  # producers need none

        return Poller(
            self,
            handlers,
            worker_id=worker_id,
            lease=lease,
            poll_interval=poll_interval,
            prefixes=prefixes,
            concurrency=concurrency,
            drain=drain,
        )

    async def migrate(self) -> None:
        """Bring the tables to the version of this code; safe on a simple-workflow database, drops no data."""
        await self.tables.migrate()

    async def migrations(self) -> Migrations:
        """The version of the tables and the one that this code needs. Changes nothing."""
        return await self.tables.migrations()

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
        unique: bool = False,
    ) -> Submitted:
        """Store the intent durably and return its run id; the id of the existing run when the key is already known.

        With *unique* a key counts as known only while its run has not ended. Submits that come together share a
        statement. Cancelled while it is under way, the intent is stored all the same.

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
            unique=unique,
        )
        run = self._new(intent)
        return Submitted.of(await self.tables.needed(self._submissions(run)))

    async def submit_many(self, intents: Sequence[Intent]) -> Sequence[Submitted]:
        """Store all of *intents* in one transaction, or none; their run ids in the same order."""
        if not intents:
            return []
        runs = (self._new(intent) for intent in intents)
        keyed = any(isinstance(each, Intent) and each.idempotency_key is not None for each in intents)
        stored = await self.tables.needed(self._submissions.many(len(intents), runs, keyed=keyed))
        return [Submitted.of(each) for each in stored]

    def submit_in(
        self,
        connection: object,
        type: str,  # noqa: A002 - the wire's own word
        payload: object,
        *,
        idempotency_key: str | None = None,
        priority: int = 100,
        delay: float = 0.0,
        run_at: datetime | None = None,
        max_attempts: int = 3,
        unique: bool = False,
    ) -> Submitted:
        """The same inside the caller's transaction on the same database: both are stored or neither is.

        *connection*: of a unit of work, of sqlite3 or psycopg (or a cursor of theirs), a session or a connection of
        SQLAlchemy; from its AsyncSession: ``await session.run_sync(lambda s: inbox.submit_in(s, ...))``. Workers hear
        of it after a unit of work and after a session; of the others they find out by polling. Without a transaction it
        is stored at once. Raises WrongConnection.
        """
        intent = Intent(
            type,
            payload,
            idempotency_key=idempotency_key,
            priority=priority,
            delay=delay,
            run_at=run_at,
            max_attempts=max_attempts,
            unique=unique,
        )
        return self.submit_many_in(connection, [intent])[0]

    def submit_many_in(self, connection: object, intents: Sequence[Intent]) -> Sequence[Submitted]:
        """:meth:`submit_many` inside the caller's transaction, as :meth:`submit_in`."""
        runs = [self._new(intent) for intent in intents]
        with joining.to_tables_of(self.database), self._joined(connection) as joined:
            stored = self.store.insert(joined, runs) if runs else ()
        new = [run for run, each in zip(runs, stored, strict=True) if not each.existed]
        if new:
            self.announcer.after(connection, due=any(map(_is_due, new)))
        return [Submitted.of(each) for each in stored]

    async def cancel(self, run_id: str) -> None:
        """Cancel the run at once, also while it runs: its outcome is refused and its handler is cancelled.

        Again is no error. Raises UnknownRun, and AlreadyFinished when it succeeded or failed.
        """
        known = _as_known(run_id)
        await self.tables.transaction(lambda connection: self.store.cancel(connection, known))
        self.cancellations += 1
        self.announcer.cancelled()

    async def retry(self, run_id: str) -> None:
        """Run a failed or cancelled run again, now, with its counters at zero. Raises UnknownRun, AlreadyFinished."""
        known = _as_known(run_id)
        await self.tables.transaction(lambda connection: self.store.requeue(connection, known))
        self.announcer.work()

    async def retry_many(self, *, type: str | None = None, limit: int = 1000) -> int:  # noqa: A002 - the wire's own word
        """Run up to *limit* failed runs again, the latest first, of *type* or of any; how many. Raises InvalidQuery."""
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidQuery(f"limit is {limit!r}; give a whole number of at least 1")
        total, cursor = 0, None
        while total < limit:
            page = await self.list(
                type=type, state=State.FAILED, limit=min(RETRIED_AT_ONCE, limit - total), cursor=cursor
            )
            ids = sorted(run.id for run in page.runs)  # in the order in which all lock runs
            total += await self.tables.transaction(lambda connection, ids=ids: self._requeue(connection, ids))  # type: ignore[misc] # mypy knows no defaults of a lambda
            if ids:
                self.announcer.work()
            cursor = page.next
            if cursor is None:
                break
        return total

    async def purge(
        self, older_than: float | timedelta, states: Sequence[State | str] = ENDED, batch: int = 1000
    ) -> int:
        """Delete runs that ended more than *older_than* (seconds) ago in one of *states*, with their events; how many.

        In transactions of *batch* runs each, with a breath between, so that nobody waits long. Raises InvalidQuery.
        """
        return await self.purging(older_than, states, batch)

    async def get(self, run_id: str) -> RunRecord:
        """The run as it is stored. Raises UnknownRun."""
        known = _as_known(run_id)
        return await self.tables.read(lambda connection: self.store.get(connection, known))

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
        for name, text in (("type", type), ("idempotency_key", idempotency_key), ("cursor", cursor)):
            if text is not None and not is_text(text):
                raise InvalidQuery(f"{name} is {text!r}; give a text without NUL and lone surrogates, or leave it out")
        try:
            wanted = None if state is None else State(state)
        except ValueError:
            raise InvalidQuery(f"state is {state!r}; use one of {', '.join(State)}") from None
        return await self.tables.read(
            lambda connection: self.store.list(
                connection, type=type, state=wanted, idempotency_key=idempotency_key, limit=limit, cursor=cursor
            )
        )

    async def events(self, run_id: str) -> Sequence[Event]:
        """The history of the run, oldest first. Raises UnknownRun."""
        known = _as_known(run_id)
        return await self.tables.read(lambda connection: self.store.events(connection, known))

    async def stats(self) -> Stats:
        """How many runs are in each state, by type, and since when the longest waiting one is due."""
        return await self.tables.read(self.store.stats)

    async def types(self) -> Sequence[RegisteredType]:
        """The types that workers have made known, by name, and whether each is switched on."""
        return await self.tables.read(registry.types)

    async def set_enabled(self, type: str, enabled: bool) -> None:  # noqa: A002 - the wire's own word
        """Switch *type* on or off: the runs of one that is off wait, those at work go on.

        Raises InvalidIntent, InvalidQuery.
        """
        if not isinstance(enabled, bool):
            raise InvalidQuery(f"type {type!r}: enabled is {enabled!r}; give True or False")
        await self.tables.transaction(lambda connection: registry.switch(connection, type, enabled))
        if enabled:
            self.announcer.work()

    @cached_property
    def schedules(self) -> "Schedules":
        """The schedules of this inbox, to make, list, pause, resume and delete them."""
        from orchestrator.inbox.schedules.schedules import Schedules  # needs the extra ``cron``; producers do not
        from orchestrator.inbox.schedules.stores import schedule_store

        return Schedules(
            self.tables,
            schedule_store(self.database, self.store, self._ids, self._now),
            self.store,
            ids=self._ids,
            submitted=self.announcer.work,
            payload_limit=self._payload_limit,
        )

    def schedule(self, type: str, payload: object = None) -> "ScheduleBuilder":  # noqa: A002 - the wire's own word
        """A schedule to be described: ``inbox.schedule("report.v1").cron("0 9 * * 1", tz="Europe/Paris").create()``."""
        from orchestrator.inbox.schedules.builder import ScheduleBuilder

        return ScheduleBuilder(self.schedules, type, payload)

    def _requeue(self, connection: Connection, ids: Sequence[str]) -> int:
        count = 0
        for run_id in ids:
            try:
                self.store.requeue(connection, run_id)
            except (UnknownRun, AlreadyFinished):  # somebody else was quicker
                continue
            count += 1
        return count

    def _stored(self, runs: Sequence[NewRun]) -> None:
        self.announcer.work(due=any(map(_is_due, runs)))

    def _new(self, intent: Intent) -> NewRun:
        if not isinstance(intent, Intent):
            raise InvalidIntent(f"{intent!r:.600} is no Intent; give each as Intent(type, payload)")
        return NewRun(
            id=self._ids(),
            type=intent.type,
            payload=intent.encoded(self._payload_limit),
            idempotency_key=intent.idempotency_key,
            priority=intent.priority,
            delay=float(intent.delay),
            run_at=intent.run_at,
            max_attempts=intent.max_attempts,
            unique=intent.unique,
        )


def _as_known(run_id: str) -> str:
    """*run_id* as the tables spell it; what is no id stays as it is, and no run has it."""
    return as_stored(run_id) or run_id


def _is_due(run: NewRun) -> bool:
    return run.delay <= 0 and (run.run_at is None or run.run_at <= datetime.now(UTC))
