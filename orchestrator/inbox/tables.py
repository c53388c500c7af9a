"""The tables of the inbox, and whether they are those that this code needs."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from orchestrator.contracts import Connection, Database
from orchestrator.sql import SchemaNewer, SchemaOlder, tables_of, version_of, where_of

T = TypeVar("T")

#: The name of the inbox in the migrations.
BATTERY = "inbox"

#: What migrations of any battery leave behind.
_OURS = "orchestrator_schema"

# A missing table, a missing column, a missing schema.
_STATES = ("42P01", "42703", "3F000")


@dataclass(frozen=True, slots=True)
class Migrations:
    """The version of the tables, 0 when there are none, and the one that this code needs."""

    current: int
    wanted: int


class Tables:
    """The tables of the inbox in *database*, as *steps* make them.

    When they are not, who meets it is told so, and not what a statement missed: SchemaOlder, SchemaNewer.
    """

    def __init__(self, database: Database, steps: Sequence[str]) -> None:
        self._database = database
        self._steps = steps

    async def migrate(self) -> None:
        """Bring them to the version of this code."""
        await self._database.migrate(BATTERY, self._steps)

    async def migrations(self) -> Migrations:
        """The versions. Changes nothing."""
        return Migrations(await version_of(self._database, BATTERY), len(self._steps))

    async def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run *work* in one write transaction."""
        return await self.needed(self._database.transaction(work))

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run *work*, which only reads."""
        return await self.needed(self._database.read(work))

    async def needed(self, doing: Awaitable[T]) -> T:
        """What *doing*, which needs the tables, comes to."""
        try:
            return await doing
        except Exception as error:
            await self.explain(error)
            raise

    async def explain(self, error: Exception) -> None:
        """Raise SchemaOlder or SchemaNewer when that is why a statement failed with *error*, or with its cause."""
        if not misses_something(error.__cause__ if isinstance(error.__cause__, Exception) else error):
            return
        try:
            await self.check()
        except (SchemaOlder, SchemaNewer) as told:
            raise told from error

    async def check(self) -> None:
        """Raise SchemaOlder or SchemaNewer unless they are those of this code."""
        versions, where = await self.migrations(), where_of(self._database)
        if versions.current > versions.wanted:
            raise SchemaNewer(where, BATTERY, versions.current, versions.wanted)
        if versions.current < versions.wanted:
            others = () if versions.current else [name for name in await tables_of(self._database) if name != _OURS]
            raise SchemaOlder(where, BATTERY, versions.current, versions.wanted, others)


def misses_something(error: Exception) -> bool:
    """Whether *error*, of the driver, says that there is no such table or column."""
    if isinstance(error, sqlite3.OperationalError):
        said = str(error)
        return said.startswith(("no such table", "no such column")) or "has no column named" in said
    return getattr(error, "sqlstate", None) in _STATES
