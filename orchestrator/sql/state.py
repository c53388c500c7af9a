"""The database of a service, opened and closed with it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from orchestrator.contracts import Connection
from orchestrator.sql.connect import check_url, open_database, schema
from orchestrator.sql.errors import DatabaseClosed
from orchestrator.sql.sqlite import SqliteDatabase
from orchestrator.sql.url import Dialect, dialect

if TYPE_CHECKING:
    from orchestrator.sql.postgres import PostgresDatabase

T = TypeVar("T")

#: The steps of a battery: the same for both kinds of database, or those of each by its name.
Steps = Sequence[str] | Mapping[Dialect, Sequence[str]]


class StateDatabase:
    """The port :class:`orchestrator.contracts.Database` as a Managed object: ``Managed(StateDatabase, url, {...})``.

    Opening brings the tables of each battery in *migrations* to its last step. On SQLite it first takes the lock of a
    service beside the file, so that a second start is refused with the first one's pid; on PostgreSQL, where replicas
    share a database, *size* is that of the pool. Raises SqlError; a bad *url* or a missing driver at once.
    """

    def __init__(self, url: str, migrations: Mapping[str, Steps] | None = None, size: int = 8) -> None:
        self.url = url
        self._where = check_url(url)
        self._size = size
        self.dialect: Dialect = dialect(url)
        self.schema = schema(url)
        self.migrations: Mapping[str, Sequence[str]] = {
            battery: self._steps(battery, steps) for battery, steps in (migrations or {}).items()
        }
        self._database: SqliteDatabase | PostgresDatabase | None = None
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            database = await opening.enter_async_context(open_database(self.url, exclusive=True, size=self._size))
            for battery, steps in self.migrations.items():
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
        return await self.opened.transaction(work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run *work* on one consistent view of the database; it cannot write."""
        return await self.opened.read(work)

    async def migrate(self, battery: str, steps: Sequence[str]) -> None:
        """Bring the tables of *battery* to version ``len(steps)``."""
        await self.opened.migrate(battery, steps)

    @property
    def opened(self) -> "SqliteDatabase | PostgresDatabase":
        """The database itself, for what only one kind can do. Raises DatabaseClosed."""
        if self._database is None:
            raise DatabaseClosed(f"{self._where} is not open; register StateDatabase as Managed", self._where)
        return self._database

    def _steps(self, battery: str, steps: Steps) -> Sequence[str]:
        if not isinstance(steps, Mapping):
            return steps
        if self.dialect not in steps:
            raise ValueError(
                f"the battery {battery!r} has no migrations for {self.dialect}, only for {', '.join(steps)}"
            )
        return steps[self.dialect]

    def __repr__(self) -> str:
        return f"<StateDatabase {self._where}{'' if self._database else ': closed'}>"
