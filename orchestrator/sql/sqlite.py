"""One SQLite file as the service's database."""

import errno
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from orchestrator.contracts import Connection
from orchestrator.sql import lock, migrations
from orchestrator.sql.errors import DatabaseClosed, DatabaseCorrupt, translated
from orchestrator.sql.url import MEMORY, Dialect

T = TypeVar("T")

_HEADER = b"SQLite format 3\0"

#: Files up to this size are checked page by page when opened: some tenths of a second at most.
CHECKED_UP_TO = 64 * 1024 * 1024


class SqliteDatabase:
    """The port :class:`orchestrator.contracts.Database` on one SQLite file. Made by :meth:`open`.

    One connection, used by one worker thread at a time. A unit of work that has begun is finished whatever is
    cancelled meanwhile, so no transaction is ever left open; one that still waits for its turn is not begun.

    The journal is WAL with ``synchronous=FULL``: with NORMAL a power cut takes the last commits with it, and what was
    reported as stored must stay stored. Writers that come together share that cost by sharing a transaction.
    """

    dialect: Dialect = "sqlite"

    def __init__(self, connection: "_Connection", where: str, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now
        self._turn = CapacityLimiter(1)
        self._in_use = Lock()  # a task cancelled from outside anyio gives up its turn while its thread still works
        self._closed = False
        self.where = where

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: str | Path,
        *,
        exclusive: bool = False,
        busy_timeout: float = 5.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> AsyncIterator["SqliteDatabase"]:
        """The database at *path*, made with its folders when missing; ``":memory:"`` lives as long as the block.

        *exclusive* takes the lock of a service beside the file; those who only submit share the file without it.
        *busy_timeout*: seconds to wait for another process's write. Raises :class:`SqlError`.
        """
        where = MEMORY if str(path) == MEMORY else os.path.abspath(path)  # noqa: ASYNC240 - reads nothing
        with ExitStack() as stack:
            connection = await to_thread.run_sync(_open, stack, where, exclusive, busy_timeout)
            database = cls(connection, where, now)
            try:
                yield database
            finally:
                with anyio.CancelScope(shield=True):
                    await to_thread.run_sync(database._close, limiter=database._turn)

    async def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run *work* in one write transaction: committed when it returns, rolled back when it raises."""
        committed: list[Callable[[], None]] = []
        result = await to_thread.run_sync(self._transaction, work, committed, limiter=self._turn)
        for call in committed:
            call()
        return result

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run *work* on one consistent view of the database; it cannot write."""
        return await to_thread.run_sync(self._read, work, limiter=self._turn)

    async def migrate(self, battery: str, steps: Sequence[str]) -> None:
        """Bring the tables of *battery* to version ``len(steps)``. Raises SchemaNewer and MigrationFailed."""
        await to_thread.run_sync(self._migrate, battery, steps, limiter=self._turn)

    async def version(self, battery: str) -> int:
        """How many steps of *battery* have been done here; 0 when it was never here. Changes nothing."""
        return await to_thread.run_sync(self._version, battery, limiter=self._turn)

    def _transaction(self, work: Callable[[Connection], T], committed: list[Callable[[], None]]) -> T:
        with self._in_use, translated(self.where):
            connection = self._opened()
            connection.committed = committed
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException as error:
                if connection.in_transaction:  # SQLite may have rolled back by itself, when the disk is full
                    connection.execute("ROLLBACK")
                if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                    _work_off_the_log(connection)
                raise
            return result

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._in_use, translated(self.where):
            connection = self._opened()
            connection.execute("PRAGMA query_only = ON")
            try:
                connection.execute("BEGIN")
                return work(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                connection.execute("PRAGMA query_only = OFF")

    def _migrate(self, battery: str, steps: Sequence[str]) -> None:
        with self._in_use, translated(self.where):
            migrations.apply(self._opened(), self.where, battery, steps, self._now)

    def _version(self, battery: str) -> int:
        with self._in_use, translated(self.where):
            return migrations.version(self._opened(), battery)

    def _opened(self) -> "_Connection":
        if self._closed:
            raise DatabaseClosed(f"{self.where} is closed; use it inside its 'async with' block only", self.where)
        return self._connection

    def _close(self) -> None:
        with self._in_use, translated(self.where):
            self._closed = True
            self._connection.close()

    def __repr__(self) -> str:
        return f"<SqliteDatabase {self.where}{': closed' if self._closed else ''}>"


class _Connection(sqlite3.Connection):
    """One that tells of its commits."""

    committed: list[Callable[[], None]]

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have *call* called in the event loop when this transaction is committed; never when it is not."""
        self.committed.append(call)


def _open(stack: ExitStack, where: str, exclusive: bool, busy_timeout: float) -> _Connection:
    path = None if where == MEMORY else Path(where)
    with translated(where):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            _look_at_header(path)
            if exclusive:
                stack.enter_context(lock.held(path.resolve()))
        connection = sqlite3.connect(
            where, timeout=busy_timeout, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        try:
            _prepare(connection, path, busy_timeout)
        except BaseException as error:
            connection.close()
            if path is not None and _refuses_writes(path, error):
                raise OSError(errno.EROFS, "the file or its folder cannot be written to") from error
            raise
        return connection


def _refuses_writes(path: Path, error: BaseException) -> bool:
    # SQLite only says that it cannot open it: it means the log beside it.
    cannot_open = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN
    return cannot_open and path.is_file() and not all(os.access(part, os.W_OK) for part in (path, path.parent))


def _prepare(connection: sqlite3.Connection, path: Path | None, busy_timeout: float) -> None:
    connection.row_factory = sqlite3.Row
    _write_ahead(connection, busy_timeout)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    if path is not None and path.stat().st_size <= CHECKED_UP_TO:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _corrupt(str(path), str(found))
    _try_to_write(connection, busy_timeout)


def _try_to_write(connection: sqlite3.Connection, busy_timeout: float) -> None:
    # A file that refuses writes is found out now, not at the first intent. One that somebody writes to does not refuse
    # them, and is not waited for: who only looks needs no lock.
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(busy_timeout * 1000)}")


def _write_ahead(connection: sqlite3.Connection, busy_timeout: float) -> None:
    # Two processes that switch a new file to WAL together: one is told "busy" at once, the busy timeout is not used.
    for wait in (0.01,) * round(busy_timeout / 0.01):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(wait)
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _work_off_the_log(connection: sqlite3.Connection) -> None:
    # The log takes room too, and SQLite works it off at 4 MB only, which a full disk keeps it from reaching.
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _look_at_header(path: Path) -> None:
    # SQLite takes a short foreign file for an empty database and would write over it.
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise _corrupt(str(path), "the file does not begin as an SQLite database")


def _corrupt(where: str, found: str) -> DatabaseCorrupt:
    return DatabaseCorrupt(
        f"{where}: {' '.join(found.split())}; the file was left untouched: keep a copy, then restore a backup, "
        "recover it with the sqlite3 shell (.recover), or give another path",
        where,
    )
