"""One SQLite file: one connection, used by one worker thread at a time."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread

from longrun.durations import Duration, seconds
from longrun.sqlite.errors import StoreBusy, StoreClosed, StoreNewer, foreign, primary_code, translated

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

_log = logging.getLogger("longrun.sqlite")
_HEADER = b"SQLite format 3\0"
_VERSIONS = "CREATE TABLE IF NOT EXISTS longrun_schema (store TEXT PRIMARY KEY, version INTEGER NOT NULL)"


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one store: *steps* bring them from nothing to version ``len(steps)``, one statement each."""

    store: str
    steps: tuple[str, ...]


class _Turn:
    """One operation: its caller withdraws it when it is cancelled, and it is not begun any more."""

    __slots__ = ("withdrawn",)

    def __init__(self) -> None:
        self.withdrawn = False


class SqliteFile:
    """The file at *path*, made with its folders when missing; opened at first use, or by :meth:`open`.

    The journal is WAL. ``synchronous="FULL"``: what was written survives a power cut; ``"NORMAL"`` saves the sync and
    survives the end of the process, but a power cut may take the last writes. *busy_timeout*: seconds to wait for
    another process. Several stores, each with a :class:`Schema` of its own, may share a file, each by a connection of
    its own, over several processes. Everything raises :class:`longrun.sqlite.errors.StoreError`.

    A cancelled caller does not wait for a disk that hangs: what still waited for its turn is not begun, what has begun
    is finished by its thread before anything else has its turn. To be used from one event loop.
    """

    def __init__(
        self,
        path: str | Path,
        schema: Schema,
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        busy_timeout: Duration = 5.0,
    ) -> None:
        if not isinstance(path, str | Path) or str(path) in ("", ":memory:"):
            raise ValueError(
                f"path of the {schema.store} is {path!r}; give the path of a file (memory has its own store)"
            )
        self.where = os.path.abspath(path)
        self._schema = schema
        self._synchronous = synchronous
        self._busy_timeout = seconds(busy_timeout, f"busy_timeout of the {schema.store}")
        self._turn = CapacityLimiter(1)
        self._in_use = Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def open(self) -> None:
        """Open it now, so that a file that cannot be used is found out now."""
        await self._in_thread(lambda _connection: None)

    async def write(self, work: Callable[["sqlite3.Connection"], T]) -> T:
        """Run *work* in one transaction: committed when it returns, rolled back when it raises."""

        def transaction(connection: "sqlite3.Connection") -> T:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException as error:
                _roll_back(connection, error)
                raise
            return result

        return await self._in_thread(transaction)

    async def read(self, work: Callable[["sqlite3.Connection"], T]) -> T:
        """Run *work*, which does not write."""
        return await self._in_thread(work)

    async def close(self) -> None:
        """Close it, also when cancelled; waits for what has begun, at most for the busy timeout."""
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._close)

    async def _in_thread(self, work: Callable[["sqlite3.Connection"], T]) -> T:
        turn = _Turn()
        try:
            return await to_thread.run_sync(self._run, work, turn, abandon_on_cancel=True, limiter=self._turn)
        except anyio.get_cancelled_exc_class():
            turn.withdrawn = True
            raise

    def _run(self, work: Callable[["sqlite3.Connection"], T], turn: _Turn) -> T:
        if not self._in_use.acquire(timeout=self._busy_timeout):
            raise StoreBusy(
                f"{self.where}: an earlier operation has not come back for {self._busy_timeout:g} s; "
                "see the system log for the disk, and the mount for network trouble",
                self.where,
            )
        try:
            if turn.withdrawn:
                raise StoreBusy(f"{self.where}: the operation was withdrawn before it began", self.where)
            with translated(self.where):
                return work(self._opened())
        finally:
            self._in_use.release()

    def _opened(self) -> "sqlite3.Connection":
        if self._closed:
            raise StoreClosed(
                f"{self.where} is closed; use its store before it is closed, or make a new one", self.where
            )
        if self._connection is None:
            self._connection = _open(Path(self.where), self._schema, self._synchronous, self._busy_timeout)
        return self._connection

    def _close(self) -> None:
        self._closed = True
        if not self._in_use.acquire(timeout=self._busy_timeout):
            _log.warning("%s was left open: an operation on it does not come back", self.where)
            return
        try:
            if self._connection is not None:
                with translated(self.where):
                    self._connection.close()
        finally:
            self._connection = None
            self._in_use.release()

    def __repr__(self) -> str:
        return f"{self.where}{': closed' if self._closed else ''}"


def _open(path: Path, schema: Schema, synchronous: str, busy_timeout: float) -> "sqlite3.Connection":
    import sqlite3

    path.parent.mkdir(parents=True, exist_ok=True)
    _look_at_header(path)
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection, busy_timeout)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        _migrate(connection, path, schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _look_at_header(path: Path) -> None:
    # SQLite takes a short foreign file for an empty database and would write over it.
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(len(_HEADER)) != _HEADER:
                raise foreign(str(path))


def _write_ahead(connection: "sqlite3.Connection", busy_timeout: float) -> None:
    # Two processes that switch a new file to WAL together: one is told "busy" at once, the busy timeout is not used.
    give_up = time.monotonic() + busy_timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
        except Exception as error:
            if primary_code(error) != "SQLITE_BUSY" or time.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


def _migrate(connection: "sqlite3.Connection", path: Path, schema: Schema) -> None:
    # The write lock is taken in any case: a file that refuses writes is found out now, not at the first save.
    known = len(schema.steps)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_VERSIONS)
        row = connection.execute("SELECT version FROM longrun_schema WHERE store = ?", (schema.store,)).fetchone()
        found = 0 if row is None else int(row[0])
        if found > known:
            raise StoreNewer(str(path), schema.store, found, known)
        for step in schema.steps[found:]:
            connection.execute(step)
        if found < known:
            connection.execute("INSERT OR REPLACE INTO longrun_schema VALUES (?, ?)", (schema.store, known))
        connection.execute("COMMIT")
    except BaseException as error:
        _roll_back(connection, error)
        raise


def _roll_back(connection: "sqlite3.Connection", error: BaseException) -> None:
    if connection.in_transaction:  # SQLite may have rolled back by itself, when the disk is full
        connection.execute("ROLLBACK")
    if primary_code(error) == "SQLITE_FULL":
        # The log takes room too, and SQLite works it off at 4 MB only, which a full disk keeps it from reaching.
        with suppress(Exception):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
