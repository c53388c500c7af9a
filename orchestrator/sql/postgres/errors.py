"""What PostgreSQL's own errors say of the database."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from orchestrator.sql.errors import (
    AccessDenied,
    ConnectionLost,
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseUnreachable,
    DiskFailing,
    DiskFull,
    ServerExhausted,
    ServerReadOnly,
    ServerStopping,
    SqlError,
    StatementTimeout,
    TooManyConnections,
    TransactionAborted,
    TransactionConflict,
    UnknownDatabase,
    UnsupportedServer,
)

Remedy = tuple[type[SqlError], str]

_PASSWORD: Remedy = (AccessDenied, "see user and password in the URL, PGPASSWORD and ~/.pgpass")
_ENTRY: Remedy = (AccessDenied, "see that the role exists, may log in, and has a line in the server's pg_hba.conf")
_RIGHTS: Remedy = (AccessDenied, "grant this user the right, or connect as one that has it")
_NO_DATABASE: Remedy = (UnknownDatabase, "create it (createdb), or see the name at the end of the URL's path")
_FULL_HOUSE: Remedy = (
    TooManyConnections,
    "it may be tried again; lower the size of the pools or raise max_connections (or the role's limit)",
)
_STOPPING: Remedy = (ServerStopping, "nothing of this transaction was stored; it may be tried again")
_NOT_YET: Remedy = (DatabaseUnreachable, "the server is starting or stopping; it may be tried again")
_LOST: Remedy = (ConnectionLost, "nothing of this transaction was stored; it may be tried again on a new connection")
_CONFLICT: Remedy = (TransactionConflict, "nothing of this transaction was stored; try it again")
_EXHAUSTED: Remedy = (ServerExhausted, "it may be tried again; see the server's log and its memory settings")
_CORRUPT: Remedy = (DatabaseCorrupt, "see the server's log; keep a copy of its data folder before any repair")
_UNREACHABLE: Remedy = (DatabaseUnreachable, "see that the server runs, listens on that address and is not walled off")

_IDLE_IN_TRANSACTION = "25P03"
_BY_STATE: dict[str, Remedy] = {
    "25006": (ServerReadOnly, "point the URL at the primary (several hosts: target_session_attrs=read-write)"),
    "25P02": (TransactionAborted, "a statement before it failed: let its error out, or use ON CONFLICT or a savepoint"),
    "28000": _ENTRY,
    "28P01": _PASSWORD,
    "3D000": _NO_DATABASE,
    "40001": _CONFLICT,
    "40P01": _CONFLICT,
    "42501": _RIGHTS,
    "53100": (DiskFull, "nothing of this transaction was stored; free space on the server's disk or enlarge it"),
    "53200": _EXHAUSTED,
    "53300": _FULL_HOUSE,
    "53400": _EXHAUSTED,
    "55P03": (
        DatabaseBusy,
        "another transaction holds the lock; it may be tried again, and a long one should be ended",
    ),
    "57014": (StatementTimeout, "make it smaller or give it an index, or raise statement_timeout in the URL's options"),
    "57P01": _STOPPING,
    "57P02": _STOPPING,
    "57P03": _NOT_YET,
    "57P04": _NO_DATABASE,
    "57P05": _LOST,
    _IDLE_IN_TRANSACTION: _LOST,
    "58030": (DiskFailing, "see the server's log and the log of its system for the disk"),
    "XX001": _CORRUPT,
    "XX002": _CORRUPT,
}

# A refused connection carries no SQLSTATE in libpq. A server that speaks another language is only "unreachable".
_BY_TEXT: tuple[tuple[str, Remedy], ...] = (
    (r"password authentication failed|no password supplied", _PASSWORD),
    (r"no pg_hba\.conf entry|authentication failed|role .* does not exist|not permitted to log in", _ENTRY),
    (r"permission denied", _RIGHTS),
    (r"database .* does not exist|not currently accepting connections", _NO_DATABASE),
    (r"too many (clients|connections)|connection slots are reserved", _FULL_HOUSE),
    (r"the database system is", _NOT_YET),
    (r"unrecognized configuration parameter .?plan_cache_mode", (UnsupportedServer, "use PostgreSQL 13 or newer")),
)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise the errors of psycopg that speak of the database as those of the tree, with *where* in their text."""
    try:
        yield
    except psycopg.Error as error:
        translation = from_postgres(error, where)
        if translation is None:
            raise
        raise translation from error


def from_postgres(error: psycopg.Error, where: str) -> SqlError | None:
    """What *error* of a running statement says of the database; None when it speaks of the statement alone."""
    remedy = _BY_STATE.get(error.sqlstate or "")
    if remedy is None and _stale_plan(error):
        remedy = _CONFLICT
    if remedy is None and _is_loss(error):
        remedy = _LOST
    return None if remedy is None else _made(remedy, error, where)


def from_connecting(error: psycopg.Error, where: str) -> SqlError:
    """What a connection that did not come about says."""
    remedy = _BY_STATE.get(error.sqlstate or "")
    if remedy is None:
        text = str(error)
        remedy = next((found for pattern, found in _BY_TEXT if re.search(pattern, text)), None)
    if remedy is None and error.pgconn is not None and (error.pgconn.used_password or error.pgconn.needs_password):
        remedy = _PASSWORD  # whatever language that is
    return _made(remedy or _UNREACHABLE, error, where)


def from_committing(error: psycopg.Error, where: str) -> SqlError | None:
    """What an error of COMMIT says: when the connection broke under it, nobody knows whether it was done.

    A session that was ended for being idle was so before the server heard of the COMMIT.
    """
    found = from_postgres(error, where)
    known = isinstance(found, ServerStopping) or error.sqlstate == _IDLE_IN_TRANSACTION
    if isinstance(found, ConnectionLost) and not known:
        lost = ConnectionLost(
            f"{where}: the connection was lost while committing ({_text(error)}); whether the transaction was stored "
            "is unknown, so see before it is repeated",
            where,
        )
        lost.outcome_unknown = True
        return lost
    return found


def makes_useless(error: psycopg.Error) -> bool:
    """Whether the connection would say the same for ever: of an old primary, or with plans of tables that changed."""
    return isinstance(error, psycopg.errors.ReadOnlySqlTransaction) or _stale_plan(error)


def _made(remedy: Remedy, error: psycopg.Error, where: str) -> SqlError:
    kind, advice = remedy
    return kind(f"{where}: {_text(error)}; {advice}", where)


def _text(error: psycopg.Error) -> str:
    primary = error.diag.message_primary
    return " ".join((primary or str(error)).split())


def _is_loss(error: psycopg.Error) -> bool:
    state = error.sqlstate
    if state is not None:
        return state.startswith("08") and state != "08P01"  # that is a wrong message, not a lost connection
    return isinstance(error, psycopg.OperationalError)


def _stale_plan(error: psycopg.Error) -> bool:
    # A prepared statement whose table another process has migrated.
    function = error.diag.source_function
    return isinstance(error, psycopg.errors.FeatureNotSupported) and function == "RevalidateCachedQuery"
