"""Errors of the database, and the translation of SQLite's own.

    Exception
     └─ SqlError                the database cannot do what was asked; ``where`` names it
         ├─ DatabaseBusy        another process holds the write lock                            retryable
         ├─ DiskFull            no room for the write; nothing of it was stored                 retryable
         ├─ DiskFailing         the operating system could not read or write                    retryable
         ├─ DatabaseReadOnly    the file or its folder refuses writes                           permanent
         ├─ DatabaseUnopenable  the path cannot be opened as a file                             permanent
         ├─ DatabaseCorrupt     the file is damaged or no SQLite database; it is left untouched permanent
         ├─ DatabaseInUse       another service runs on this file; ``pid`` names it             permanent
         ├─ SchemaNewer         the tables were written by newer code                           permanent
         ├─ SchemaOlder         the tables were not yet migrated to this code                   permanent
         ├─ MigrationFailed     a migration step was refused and rolled back                    permanent
         ├─ DatabaseClosed      used after it was closed                                        permanent
         ├─ DatabaseUrlError    (also a ValueError) the connection URL cannot be understood     permanent
         │  of PostgreSQL alone:
         ├─ DriverMissing       psycopg is not installed                                        permanent
         ├─ DatabaseUnreachable no connection came about                                        retryable
         ├─ AccessDenied        the user, its password or its rights                            permanent
         ├─ UnknownDatabase     the server has no database of that name                         permanent
         ├─ UnsupportedServer   the server is too old                                           permanent
         ├─ ConnectionLost      the connection broke; ``outcome_unknown`` when while committing retryable
         │   └─ ServerStopping  the server or an administrator ended it                         retryable
         ├─ ServerReadOnly      (also DatabaseReadOnly) a standby, or set to read only          retryable
         ├─ ServerExhausted     the server is out of memory or of another limited means         retryable
         │   └─ TooManyConnections                                                              retryable
         ├─ TransactionConflict serialization failure, deadlock, tables changed meanwhile       retryable
         ├─ StatementTimeout    a statement took longer than it may                             retryable
         └─ TransactionAborted  a statement failed and the unit of work went on                 permanent

``retryable`` and ``permanent`` are the plain attributes of :mod:`orchestrator.contracts.errors`. Two kinds of error of
the drivers are not translated, for they speak of the statement and not of the database: a wrong statement and a
violated constraint reach the caller as they are. Those of psycopg are translated in ``orchestrator.sql.postgres``.
"""

import errno
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

#: Tables that are named where there are many.
_SHOWN = 3


class SqlError(Exception):
    """The database cannot do what was asked; *where* is its path. One that ends a start ends it with exit code 2."""

    exit_code = 2

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where


class DatabaseBusy(SqlError):
    """Another process held the write lock for longer than the busy timeout. Try again."""

    retryable = True


class DiskFull(SqlError):
    """There was no room for the write, which was rolled back. Goes on by itself when there is room again."""

    retryable = True


class DiskFailing(SqlError):
    """The operating system could not read or write the file."""

    retryable = True


class DatabaseReadOnly(SqlError):
    """The file or its folder refuses writes."""

    permanent = True


class DatabaseUnopenable(SqlError):
    """The path cannot be opened as a database file."""

    permanent = True


class DatabaseCorrupt(SqlError):
    """The file is damaged, or no SQLite database at all. It is never overwritten or deleted."""

    permanent = True


class DatabaseInUse(SqlError):
    """Another service runs on this file: process *pid*, or None when it has not yet said its own."""

    permanent = True

    def __init__(self, message: str, where: str, pid: int | None) -> None:
        super().__init__(message, where)
        self.pid = pid


class SchemaNewer(SqlError):
    """The tables of *battery* are at version *found*, and this code knows *known*. Nothing was changed."""

    permanent = True

    def __init__(self, where: str, battery: str, found: int, known: int) -> None:
        super().__init__(
            f"the {battery!r} tables in {where} are at version {found}, but this release knows version {known} only; "
            "start the newer release, or restore the backup made before it was installed",
            where,
        )
        self.battery = battery
        self.found = found
        self.known = known


class SchemaOlder(SqlError):
    """The tables of *battery* are at version *found* (0: there are none), and this code needs *known*.

    *others*: tables that are there when those of *battery* are not; it may be the wrong database.
    """

    permanent = True

    def __init__(self, where: str, battery: str, found: int, known: int, others: Sequence[str] = ()) -> None:
        are = f"are at version {found}" if found else "are missing"
        held = f"it holds other tables ({_some(others)}): if it is the right database, " if others else ""
        super().__init__(
            f"the {battery!r} tables in {where} {are}, and this release needs version {known}; {held}bring them there "
            "with `orchestrator migrate [--url ...]`, or by opening with migrate=True",
            where,
        )
        self.battery = battery
        self.found = found
        self.known = known
        self.others = others


class MigrationFailed(SqlError):
    """Step *version* of *battery* was refused by the database and rolled back."""

    permanent = True

    def __init__(self, where: str, battery: str, version: int, reason: str) -> None:
        super().__init__(
            f"migration {version} of {battery!r} failed in {where} and was rolled back: {reason}; "
            "the tables are as they were, see whether something else created tables of the same name",
            where,
        )
        self.battery = battery
        self.version = version


class DatabaseClosed(SqlError):
    """The database was used outside its ``async with``."""

    permanent = True


class DatabaseUrlError(SqlError, ValueError):
    """The connection URL cannot be understood; *where* is the URL without a password."""

    permanent = True


class DriverMissing(SqlError):
    """The URL names PostgreSQL and its driver is not installed."""

    permanent = True


class DatabaseUnreachable(SqlError):
    """No connection to the server came about: nobody listens there, the name is unknown, it is starting."""

    retryable = True


class AccessDenied(SqlError):
    """The server does not let this user in, or not do this."""

    permanent = True


class UnknownDatabase(SqlError):
    """The server has no database of that name."""

    permanent = True


class UnsupportedServer(SqlError):
    """The server is too old."""

    permanent = True


class ConnectionLost(SqlError):
    """The connection broke while it was used. Nothing was stored, unless *outcome_unknown*: then perhaps all was."""

    retryable = True
    outcome_unknown = False


class ServerStopping(ConnectionLost):
    """The server is shutting down, or an administrator ended the connection."""


class ServerReadOnly(DatabaseReadOnly):
    """The server is a standby, or set to read only. It may be the primary a moment later."""

    permanent = False
    retryable = True


class ServerExhausted(SqlError):
    """The server is out of memory or of another limited means."""

    retryable = True


class TooManyConnections(ServerExhausted):
    """The server, or this user on it, has as many connections as it may."""


class TransactionConflict(SqlError):
    """The transaction met another one and was rolled back. Try again."""

    retryable = True


class StatementTimeout(SqlError):
    """A statement took longer than it may, or was cancelled on the server; its transaction was rolled back."""

    retryable = True


class TransactionAborted(SqlError):
    """A statement failed, and the unit of work went on as if nothing were. Everything was rolled back."""

    permanent = True


def _some(names: Sequence[str]) -> str:
    """The first of *names*, and how many there are beside them."""
    shown, more = names[:_SHOWN], len(names) - _SHOWN
    return f"{', '.join(shown)} and {more} more" if more > 0 else ", ".join(shown)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise the errors of :mod:`sqlite3` and of the file system as those of this tree, with *where* in their text."""
    try:
        yield
    except sqlite3.Error as error:
        translation = from_sqlite(error, where)
        if translation is None:
            raise
        raise translation from error
    except OSError as error:
        raise from_os(error, where) from error


def from_sqlite(error: sqlite3.Error, where: str) -> SqlError | None:
    """What *error* says of the database; None when it speaks of the statement alone."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    known = _BY_CODE.get(code & 0xFF)  # the low byte is the primary code
    if known is None:
        return None
    kind, remedy = known
    return kind(f"{where}: {error}; {remedy}", where)


def from_os(error: OSError, where: str) -> SqlError:
    """What an error of the file system says of the database."""
    code = {errno.ENOSPC: sqlite3.SQLITE_FULL, errno.EDQUOT: sqlite3.SQLITE_FULL, errno.EIO: sqlite3.SQLITE_IOERR}.get(
        error.errno or 0, sqlite3.SQLITE_CANTOPEN
    )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        code = sqlite3.SQLITE_READONLY
    kind, remedy = _BY_CODE[code]
    return kind(f"{where}: {error.strerror or error}; {remedy}", where)


_READ_ONLY = (DatabaseReadOnly, "make the file and its folder writable for this user (WAL needs both)")
_CORRUPT = (
    DatabaseCorrupt,
    "the file was left untouched: keep a copy, then restore a backup or recover it with the sqlite3 shell (.recover)",
)
_BUSY = (
    DatabaseBusy,
    "another process is writing; it may be tried again, and a long transaction elsewhere should be ended",
)

_BY_CODE: dict[int, tuple[type[SqlError], str]] = {
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_FULL: (DiskFull, "nothing of this write was stored; free space on that disk or enlarge it"),
    sqlite3.SQLITE_IOERR: (DiskFailing, "see the system log for the disk, and the mount for network trouble"),
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_PERM: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: (DatabaseUnopenable, "give the path of a file in a folder that exists or can be made"),
    sqlite3.SQLITE_CORRUPT: _CORRUPT,
    sqlite3.SQLITE_NOTADB: _CORRUPT,
}
