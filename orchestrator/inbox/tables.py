"""Whether the tables of the inbox are those that this code needs."""

import sqlite3
from dataclasses import dataclass

from orchestrator.contracts import Database
from orchestrator.sql import SchemaNewer, SchemaOlder, SqlError, version_of, where_of

#: The name of the inbox in the migrations.
BATTERY = "inbox"

# A missing table, a missing column, a missing schema.
_STATES = ("42P01", "42703", "3F000")


@dataclass(frozen=True, slots=True)
class Migrations:
    """The version of the tables, 0 when there are none, and the one that this code needs."""

    current: int
    wanted: int


async def migrations(database: Database, wanted: int) -> Migrations:
    """The versions. Changes nothing."""
    return Migrations(await version_of(database, BATTERY), wanted)


async def explained(error: Exception, database: Database, wanted: int) -> SqlError | None:
    """What *error* of a statement says of the tables; None when they are as they should be."""
    if not _misses_something(error):
        return None
    found = await migrations(database, wanted)
    where = where_of(database)
    if found.current < wanted:
        return SchemaOlder(where, BATTERY, found.current, wanted)
    return SchemaNewer(where, BATTERY, found.current, wanted) if found.current > wanted else None


def _misses_something(error: Exception) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        said = str(error)
        return said.startswith(("no such table", "no such column")) or "has no column named" in said
    return getattr(error, "sqlstate", None) in _STATES
