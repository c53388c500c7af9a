"""A database by its URL, of either kind."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.sql.errors import DriverMissing
from orchestrator.sql.sqlite import SqliteDatabase
from orchestrator.sql.url import dialect, sqlite_path, without_password

if TYPE_CHECKING:
    from orchestrator.sql.postgres import PostgresDatabase


def check_url(url: str) -> str:
    """What *url* names, as errors print it. Raises DatabaseUrlError and DriverMissing; nothing is opened."""
    if dialect(url) == "sqlite":
        return sqlite_path(url)
    _require_driver(url)
    from orchestrator.sql.postgres.target import Target

    return Target.of(url).where


def schema(url: str) -> str | None:
    """The schema that *url* names on PostgreSQL; None on SQLite, which has none. Raises as :func:`check_url`."""
    if dialect(url) == "sqlite":
        return None
    _require_driver(url)
    from orchestrator.sql.postgres.target import Target

    return Target.of(url).schema


@asynccontextmanager
async def open_database(
    url: str,
    *,
    exclusive: bool = False,
    size: int = 8,
    settings: Mapping[str, str] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator["SqliteDatabase | PostgresDatabase"]:
    """The database at *url*, open while the block runs. Raises :class:`SqlError`.

    *exclusive* and *now* are of SQLite: the lock of a service beside the file, and the clock. On PostgreSQL any number
    of services share a database, so there is nothing to lock here: which of them does what is for leases to say.
    *size* of the pool and *settings* of its sessions are of PostgreSQL.
    """
    if dialect(url) == "sqlite":
        async with SqliteDatabase.open(sqlite_path(url), exclusive=exclusive, now=now) as file:
            yield file
        return
    _require_driver(url)
    from orchestrator.sql.postgres import PostgresDatabase

    async with PostgresDatabase.open(url, size=size, settings=settings) as server:
        yield server


def _require_driver(url: str) -> None:
    try:
        import psycopg  # noqa: F401 - whether it can be
    except ImportError as error:
        shown = without_password(url)
        raise DriverMissing(
            f"the database URL {shown!r} needs the driver psycopg, which cannot be imported ({error}); "
            "install the extra: pip install 'longrun-orchestrator[postgres]'",
            shown,
        ) from error
