"""The connection that units of work get on PostgreSQL, and the way to the driver's own."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import psycopg
from psycopg import RawCursor
from psycopg.cursor import Cursor as DriverCursor

from orchestrator.contracts import Cursor
from orchestrator.sql.postgres.statements import translated


class PortableRow(tuple[Any, ...]):
    """One row, read by index or by column name, as those of :mod:`sqlite3` are."""

    __slots__ = ()
    _columns: ClassVar[Mapping[str, int]] = {}

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401 - narrower than tuple's, wider than its overloads
        if isinstance(key, str):
            try:
                key = self._columns[key]
            except KeyError:
                raise IndexError(f"no column {key!r} among {', '.join(self._columns)}") from None
        return tuple.__getitem__(self, key)

    def keys(self) -> Sequence[str]:
        """The names of the columns."""
        return list(self._columns)


class PortableConnection:
    """The port :class:`orchestrator.contracts.Connection` over the *driver*'s connection.

    Statements take ``?`` or ``:name``; ``??`` is the operator ``?``. Many are taken by both databases as they are; see
    docs/databases.md for those that are not.
    """

    __slots__ = ("_committed", "driver")

    def __init__(
        self, driver: psycopg.Connection[tuple[Any, ...]], committed: list[Callable[[], None]] | None = None
    ) -> None:
        self.driver = driver
        self._committed = committed if committed is not None else []

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have *call* called in the event loop when this transaction is committed; never when it is not."""
        self._committed.append(call)

    def execute(self, sql: str, parameters: Sequence[object] | Mapping[str, object] = (), /) -> Cursor:
        """Run one statement."""
        statement = translated(sql)
        cursor = RawCursor(self.driver, row_factory=_rows)
        return cursor.execute(statement.sql.encode(), statement.values(parameters) or None)

    def executemany(self, sql: str, parameters: Sequence[Sequence[object]], /) -> Cursor:
        """Run one statement for each of *parameters*, in one go."""
        statement = translated(sql)
        cursor = RawCursor(self.driver, row_factory=_rows)
        if parameters:
            cursor.executemany(statement.sql.encode(), [statement.values(values) for values in parameters])
        return cursor


def native(connection: object) -> psycopg.Connection[tuple[Any, ...]]:
    """The psycopg connection of *connection*: of a unit of work, of SQLAlchemy (session or connection), or itself.

    Raises TypeError for anything else.
    """
    if isinstance(connection, PortableConnection):
        return connection.driver
    if isinstance(connection, psycopg.Connection):
        return connection
    for step in ("connection", "driver_connection"):  # a session's connection(), a connection's connection
        inner = getattr(connection, step, None)
        if inner is not None:
            return native(inner() if callable(inner) else inner)
    kind = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise TypeError(f"{kind} is no connection of psycopg 3, and none of SQLAlchemy on it")


def _rows(cursor: DriverCursor[Any]) -> Callable[[Sequence[Any]], PortableRow]:
    described = cursor.description
    return _row_type(tuple(column.name for column in described)) if described else PortableRow


@lru_cache(maxsize=1024)
def _row_type(names: tuple[str, ...]) -> type[PortableRow]:
    columns = {name: index for index, name in reversed(list(enumerate(names)))}  # the first of several
    return type("Row", (PortableRow,), {"__slots__": (), "_columns": dict(reversed(columns.items()))})
