"""The connection of a caller whose transaction an intent joins, as the store needs it."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import ismethod
from typing import Any, cast

from orchestrator.contracts import Connection, Cursor, Database
from orchestrator.inbox.errors import WrongConnection
from orchestrator.inbox.tables import misses_something
from orchestrator.sql import where_of


def unwrapped(connection: object) -> object:
    """The DBAPI connection behind a cursor, or behind a session or a connection of SQLAlchemy; else *connection*."""
    for _ in range(4):  # scoped session, session, connection, pool's proxy
        if isinstance(connection, sqlite3.Connection) or _kind(connection).startswith("sqlalchemy.ext.asyncio."):
            break
        if _kind(connection) == "sqlalchemy.engine.base.Connection":
            _begin(connection)
        inner = getattr(connection, "dbapi_connection", None) or getattr(connection, "connection", None)
        if inner is None:
            break
        connection = inner() if ismethod(inner) else inner
    return connection


def _begin(connection: Any) -> None:  # noqa: ANN401 - of SQLAlchemy
    # It begins with its first statement, and ours pass it by; then its commit() would have nothing to do.
    if not connection.in_transaction():
        connection.begin()


@contextmanager
def sqlite(given: object) -> Iterator[Connection]:
    """*given* as the store on SQLite takes it; what is done in the block is done whole or not at all.

    Raises WrongConnection.
    """
    found = unwrapped(given)
    if not isinstance(found, sqlite3.Connection):
        if _adapts(found, "aiosqlite"):
            yield cast("Connection", _Plain(found))  # in AsyncSession.run_sync: SQLAlchemy waits for its thread
            return
        raise _wrong(given, "SQLite", "sqlite3.Connection, or an SQLAlchemy session or connection on it")
    if hasattr(found, "after_commit"):  # a unit of work of ours: rolled back whole when anything raises
        yield found
        return
    connection = _Plain(found)
    # From Python 3.12 on, autocommit=True leaves the isolation level without a meaning.
    implicit = found.isolation_level is not None and getattr(found, "autocommit", None) is not True
    if implicit and not found.in_transaction:
        connection.execute(f"BEGIN {found.isolation_level}")  # as sqlite3 itself does before the first change
    connection.execute("SAVEPOINT orchestrator_inbox")
    try:
        yield cast("Connection", connection)
    except BaseException:
        if found.in_transaction:  # else SQLite has rolled back everything by itself, as when the disk is full
            connection.execute("ROLLBACK TO orchestrator_inbox")
            connection.execute("RELEASE orchestrator_inbox")
        raise
    connection.execute("RELEASE orchestrator_inbox")


@contextmanager
def postgres(given: object) -> Iterator[Connection]:
    """*given* as the store on PostgreSQL takes it. Raises WrongConnection."""
    import psycopg

    from orchestrator.inbox.store.postgres.connection import Adapted
    from orchestrator.sql.postgres import PortableConnection

    if isinstance(given, PortableConnection):
        yield given
        return
    found = unwrapped(given)
    if _adapts(found, "psycopg"):
        yield cast("Connection", Adapted(found))
        return
    if not isinstance(found, psycopg.Connection):
        raise _wrong(given, "PostgreSQL", "psycopg.Connection, or an SQLAlchemy session or connection on it")
    yield cast("Connection", found)


@contextmanager
def to_tables_of(database: Database) -> Iterator[None]:
    """WrongConnection when the block meets no tables: its connection leads elsewhere than to *database*."""
    try:
        yield
    except Exception as error:
        if not misses_something(error):
            raise
        said = " ".join(str(error).split())
        raise WrongConnection(
            f"where this connection leads are no tables of the inbox ({said}); this inbox is in {where_of(database)}: "
            "pass a connection to that database, or migrate it first"
        ) from error


def _adapts(connection: object, driver: str) -> bool:
    """Whether *connection* is SQLAlchemy's synchronous face of an asynchronous *driver*."""
    kind = type(connection)
    inner = getattr(connection, "driver_connection", None)
    return kind.__module__.startswith("sqlalchemy.") and type(inner).__module__.partition(".")[0] == driver


def _kind(of: object) -> str:
    return f"{type(of).__module__}.{type(of).__qualname__}"


def _wrong(given: object, database: str, wanted: str) -> WrongConnection:
    kind = _kind(given)
    remedy = f"pass the connection of the transaction to be joined: of a unit of work of this database, {wanted}"
    if "async" in kind.lower() or kind.startswith("aiosqlite."):
        remedy += "; from an AsyncSession: await session.run_sync(lambda s: inbox.submit_in(s, ...))"
    return WrongConnection(f"{kind} is no connection to {database}, where this inbox is; {remedy}")


class _Plain:
    """A DBAPI connection through a cursor for each statement, whatever its own row factory."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - of sqlite3, or adapted by SQLAlchemy
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = (), /) -> Cursor:
        cursor = self._cursor()
        cursor.execute(sql, parameters)
        return cast("Cursor", cursor)

    def executemany(self, sql: str, parameters: Sequence[Sequence[object]], /) -> Cursor:
        cursor = self._cursor()
        cursor.executemany(sql, parameters)
        return cast("Cursor", cursor)

    def _cursor(self) -> Any:  # noqa: ANN401 - as above
        cursor = self._connection.cursor()
        if isinstance(cursor, sqlite3.Cursor):
            cursor.row_factory = None
        return cursor


def after_commit(given: object, call: Callable[[], None]) -> bool:
    """Have *call* called when the transaction of *given* is committed; False where nobody tells.

    A unit of work tells, and a session of SQLAlchemy (once for each of its commits, in whichever thread that is).
    """
    hook: Callable[[Callable[[], None]], None] | None = getattr(given, "after_commit", None)
    if hook is not None:
        hook(call)
        return True
    session = given.registry() if callable(getattr(given, "registry", None)) else given  # type: ignore[attr-defined] # of a scoped session
    info = getattr(session, "info", None)
    if not isinstance(info, dict) or not hasattr(session, "get_bind") or not hasattr(session, "expunge"):
        return False
    calls = info.get(after_commit)
    if calls is None:
        from sqlalchemy import event  # type: ignore[import-not-found, unused-ignore] # there, where there is a session

        calls = info[after_commit] = []
        event.listen(session, "after_commit", _called)
        event.listen(session, "after_rollback", _forgotten)
    if call not in calls:
        calls.append(call)
    return True


def _called(session: Any) -> None:  # noqa: ANN401 - a session of SQLAlchemy
    if session.in_nested_transaction():  # the end of a savepoint: nobody can see the intent yet
        return
    calls, session.info[after_commit][:] = list(session.info[after_commit]), []
    for call in calls:
        call()


def _forgotten(session: Any) -> None:  # noqa: ANN401 - as above
    if session.in_nested_transaction():  # what was before the savepoint is still to come; a call too many does no harm
        return
    session.info[after_commit].clear()
