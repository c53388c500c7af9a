"""What a battery asks of a database beyond its port: which kind it is, and what that kind alone can do.

A database that the port's methods are all there is of, such as a test's, counts as SQLite and can do nothing more.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar, cast

from orchestrator.contracts import Database
from orchestrator.sql.url import DEFAULT_SCHEMA, Dialect

T = TypeVar("T")

_TABLES: Mapping[Dialect, str] = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY name",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
}


class Listening(Protocol):
    """See :class:`orchestrator.sql.postgres.listener.Listening`."""

    @property
    def up(self) -> bool: ...


class Lane(Protocol):
    """See :class:`orchestrator.sql.postgres.lane.Lane`."""

    async def fetch(self, statement: str, values: Mapping[str, str | None]) -> list[tuple[Any, ...]]: ...
    async def send(self, statement: str, values: Mapping[str, str | None]) -> None: ...
    async def rows(self) -> list[tuple[Any, ...]]: ...
    def transaction(self) -> AbstractAsyncContextManager[None]: ...
    def close(self) -> None: ...


class Server(Protocol):
    """What PostgreSQL can do on top; see :class:`orchestrator.sql.postgres.PostgresDatabase`."""

    def lane(self, settings: str = "") -> Lane: ...
    def notify(self, channel: str, payload: str = "") -> None: ...
    def listen(
        self, channels: Sequence[str], heard: Callable[[str, str], None]
    ) -> AbstractAsyncContextManager[Listening]: ...


def dialect_of(database: Database) -> Dialect:
    """Known before it is open."""
    return cast("Dialect", getattr(database, "dialect", "sqlite"))


def schema_of(database: Database) -> str:
    """Where its tables are, on PostgreSQL. Known before it is open."""
    return str(getattr(database, "schema", None) or DEFAULT_SCHEMA)


def server_of(database: Database) -> Server | None:
    """What it can do on top of its port; None on SQLite. Raises DatabaseClosed where it is not open."""
    return cast("Server", _opened(database)) if dialect_of(database) == "postgresql" else None


def where_of(database: Database) -> str:
    """Its address, without a password. Raises DatabaseClosed where it is not open."""
    opened = _opened(database)
    return str(getattr(opened, "where", opened))


async def version_of(database: Database, battery: str) -> int:
    """The version of the tables of *battery*, 0 when there are none. Raises DatabaseClosed and SqlError."""
    opened = _opened(database)
    version: Callable[[str], Awaitable[int]] | None = getattr(opened, "version", None)
    if version is None:
        raise TypeError(f"{type(opened).__qualname__} does not tell the version of its tables")
    return await version(battery)


async def tables_of(database: Database) -> Sequence[str]:
    """The tables that are there, whosever they are, by name: of the file, or of the schema. Raises SqlError."""
    statement = _TABLES[dialect_of(database)]
    return await database.read(lambda connection: [str(row[0]) for row in connection.execute(statement).fetchall()])


def _opened(database: Database) -> Database:
    """The database itself, where it is one that is opened and closed with its service."""
    return cast("Database", getattr(database, "opened", database))
