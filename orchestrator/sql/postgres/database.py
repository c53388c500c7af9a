"""One schema of a PostgreSQL database as the service's database."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar
from weakref import WeakSet

import anyio
import psycopg
from anyio import CapacityLimiter, to_thread
from psycopg.pq import TransactionStatus

from orchestrator.contracts import Connection
from orchestrator.sql.errors import DatabaseReadOnly, TransactionAborted
from orchestrator.sql.postgres import migrations
from orchestrator.sql.postgres.connection import PortableConnection
from orchestrator.sql.postgres.errors import from_committing, makes_useless, translated
from orchestrator.sql.postgres.lane import Lane
from orchestrator.sql.postgres.listener import Listener, Listening
from orchestrator.sql.postgres.notifier import Notifier
from orchestrator.sql.postgres.pool import Driver, Pool
from orchestrator.sql.postgres.target import Target
from orchestrator.sql.url import Dialect

T = TypeVar("T")

#: What a session has when the URL's options say nothing else.
SETTINGS = {"statement_timeout": "30s", "idle_in_transaction_session_timeout": "60s"}


class PostgresDatabase:
    """The port :class:`orchestrator.contracts.Database` on PostgreSQL. Made by :meth:`open`.

    Units of work run side by side, each on a worker thread with a connection of the pool. One that has begun is
    finished whatever is cancelled meanwhile; one that still waits for a connection is not begun. A unit of work gets a
    :class:`PortableConnection`; :func:`native` gives the psycopg connection behind it.
    """

    dialect: Dialect = "postgresql"

    def __init__(self, target: Target, size: int, settings: Mapping[str, str]) -> None:
        self.where = target.where
        self.schema = target.schema
        self._pool = Pool(target, size, settings, time.monotonic)
        self._turn = CapacityLimiter(size)
        self._listener = Listener(self._pool.connect)
        self._notifier = Notifier(self._pool.connect)
        self._lanes: WeakSet[Lane] = WeakSet()
        self._closed = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, size: int = 8, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator["PostgresDatabase"]:
        """The database that *url* names, with a pool of at most *size* connections.

        *settings* of each session are added to :data:`SETTINGS`; the URL's own ``options`` win over both. One
        connection is opened at once, to find out what is wrong; the others when needed. Raises :class:`SqlError`.

        Listening takes one connection more, and notifying another one.
        """
        if size < 1:
            raise ValueError(f"the size of the pool is {size}; give 1 or more")
        database = cls(Target.of(url), size, SETTINGS | dict(settings or {}))
        try:
            await to_thread.run_sync(database._check, limiter=database._turn)
            yield database
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(database._close, limiter=CapacityLimiter(1))

    async def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run *work* in one transaction (READ COMMITTED): committed when it returns, rolled back when it raises.

        Raises SqlError; ConnectionLost with ``outcome_unknown`` when the connection broke while committing.
        """
        committed: list[Callable[[], None]] = []
        result = await to_thread.run_sync(self._transaction, work, committed, limiter=self._turn)
        for call in committed:
            call()
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run *work* on one consistent view of the database (REPEATABLE READ, READ ONLY); it cannot write."""
        return await to_thread.run_sync(self._read, work, limiter=self._turn)

    def lane(self, settings: str = "") -> Lane:
        """A connection outside the pool, for single statements that are done very often; closed with the database.

        *settings*: statements that prepare its session.
        """
        lane = Lane(self._pool.connect, self.where, settings)
        self._lanes.add(lane)
        if self._closed:
            lane.close()
        return lane

    async def migrate(self, battery: str, steps: Sequence[str]) -> None:
        """Bring the tables of *battery* to version ``len(steps)``. Raises SchemaNewer and MigrationFailed."""
        await to_thread.run_sync(self._migrate, battery, steps, limiter=self._turn)

    async def version(self, battery: str) -> int:
        """How many steps of *battery* have been done in this schema; 0 when it was never here. Changes nothing."""
        return await to_thread.run_sync(self._version, battery, limiter=self._turn)

    def listen(
        self, channels: Sequence[str], heard: Callable[[str, str], None]
    ) -> AbstractAsyncContextManager[Listening]:
        """Call *heard* with channel and payload, in this event loop, for each notification while the block runs.

        It is called with an empty payload, once for each channel, when the connection came back, for what was sent
        meanwhile is lost; and when it broke, so that a poller looks at :attr:`Listening.up` and polls faster. Entering
        does not wait for the connection. *heard* returns quickly and does not raise.
        """
        return self._listener.listen(channels, heard)

    def notify(self, channel: str, payload: str = "") -> None:
        """Send a notification soon, on a connection of its own; returns at once, from any thread. Call it after commit.

        The first is sent at once, then at most one batch in 5 ms, each notification once. What cannot be sent is
        dropped: listeners poll as well.
        """
        self._notifier.notify(channel, payload)

    def _check(self) -> None:
        with translated(self.where):
            self._pool.check()

    @contextmanager
    def _session(self) -> Iterator[Driver]:
        with translated(self.where), self._pool.connection() as driver:
            try:
                yield driver
            except psycopg.Error as error:
                if makes_useless(error):
                    driver.close()
                raise

    def _transaction(self, work: Callable[[Connection], T], committed: list[Callable[[], None]]) -> T:
        with self._session() as driver:
            try:
                result = work(PortableConnection(driver, committed))
            except BaseException:
                _roll_back(driver)
                raise
            self._commit(driver)
            return result

    def _commit(self, driver: Driver) -> None:
        if driver.info.transaction_status == TransactionStatus.INERROR:  # COMMIT would roll back and call it done
            _roll_back(driver)
            raise TransactionAborted(
                f"{self.where}: a statement of the unit of work failed and its error was kept; everything was rolled "
                "back: let the error out, or use ON CONFLICT or a savepoint",
                self.where,
            )
        try:
            driver.commit()
        except psycopg.Error as error:
            found = from_committing(error, self.where)
            if found is None:
                raise
            raise found from error

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._session() as driver:
            driver.isolation_level, driver.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
            try:
                result = work(PortableConnection(driver))
                driver.commit()  # ROLLBACK makes psycopg forget its prepared statements
            except psycopg.errors.ReadOnlySqlTransaction as error:
                raise DatabaseReadOnly(
                    f"{self.where}: {error.diag.message_primary}; a unit of work given to read() cannot write, "
                    "give it to transaction()",
                    self.where,
                ) from error
            finally:
                _roll_back(driver)
                if not driver.closed:
                    driver.isolation_level, driver.read_only = psycopg.IsolationLevel.READ_COMMITTED, None
            return result

    def _migrate(self, battery: str, steps: Sequence[str]) -> None:
        with self._session() as driver:
            migrations.apply(driver, self.where, self.schema, battery, steps)

    def _version(self, battery: str) -> int:
        with self._session() as driver:
            return migrations.version(driver, self.schema, battery)

    def _close(self) -> None:
        self._closed = True
        for lane in tuple(self._lanes):
            lane.close()
        self._listener.close()
        self._notifier.close()
        self._pool.close()

    def __repr__(self) -> str:
        return f"<PostgresDatabase {self.where}>"


def _roll_back(driver: psycopg.Connection[Any]) -> None:
    if driver.info.transaction_status == TransactionStatus.IDLE:
        return
    try:
        driver.rollback()
    except psycopg.Error:
        driver.close()  # its transaction ends with it; the error that led here says more
