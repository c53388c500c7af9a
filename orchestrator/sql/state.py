"""The database of a service, opened and closed with it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, TypeVar

from orchestrator.contracts import Connection
from orchestrator.sql.errors import DatabaseClosed
from orchestrator.sql.sqlite import SqliteDatabase
from orchestrator.sql.url import sqlite_path

T = TypeVar("T")


class StateDatabase:
    """The port :class:`orchestrator.contracts.Database` as a Managed object: ``Managed(StateDatabase, url, {...})``.

    Opening takes the lock of a service beside the file, so that a second start is refused with the first one's pid, and
    brings the tables of each battery in *migrations* to its last step. Raises SqlError; a bad *url* at once.
    """

    def __init__(self, url: str, migrations: Mapping[str, Sequence[str]] | None = None) -> None:
        self._path = sqlite_path(url)
        self._migrations = dict(migrations or {})
        self._database: SqliteDatabase | None = None
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            database = await opening.enter_async_context(SqliteDatabase.open(self._path, exclusive=True))
            for battery, steps in self._migrations.items():
                await database.migrate(battery, steps)
            self._database = database
            self._closing = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._database = None
        return await self._closing.__aexit__(kind, error, trace)

    async def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run *work* in one write transaction: committed when it returns, rolled back when it raises."""
        return await self._opened.transaction(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run *work* on one consistent view of the database; it cannot write."""
        return await self._opened.read(work)

    async def migrate(self, battery: str, steps: Sequence[str]) -> None:
        """Bring the tables of *battery* to version ``len(steps)``."""
        await self._opened.migrate(battery, steps)

    @property
    def _opened(self) -> SqliteDatabase:
        if self._database is None:
            raise DatabaseClosed(f"{self._path} is not open; register StateDatabase as Managed", self._path)
        return self._database

    def __repr__(self) -> str:
        return f"<StateDatabase {self._path}{'' if self._database else ': closed'}>"
