"""The port of the service's own database, as a domain's adapters use it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Row(Protocol):
    """One row, read by index or by column name."""

    def __getitem__(self, key: int | str, /) -> Any: ...  # noqa: ANN401 - a column's type is known to the database alone


class Cursor(Protocol):
    """The part of a DB-API cursor that units of work use."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Row | None: ...
    def fetchall(self) -> Sequence[Row]: ...
    def __iter__(self) -> Iterator[Row]: ...


class Connection(Protocol):
    """The part of a connection that units of work use; statements take ``?`` or ``:name`` parameters."""

    def execute(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ..., /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Sequence[Sequence[object]], /) -> Cursor: ...


class Database(Protocol):
    """One database. A unit of work is a plain sync function over a connection; each is one thread hop.

    Keep units of work small and free of other I/O: while one writes, no other writes.
    """

    async def transaction(self, work: Callable[[Connection], T]) -> T:
        """Run *work* in one write transaction: committed when it returns, rolled back when it raises."""
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run *work*, which only reads."""
        ...

    async def migrate(self, battery: str, steps: Sequence[str]) -> None:
        """Bring the tables of *battery* to version ``len(steps)``; each step is one or more DDL statements.

        Done steps are skipped; a database newer than *steps* is refused, untouched.
        """
        ...
