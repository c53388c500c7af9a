"""Statements of the store on the psycopg connection underneath a unit of work."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from psycopg import Cursor
from psycopg.rows import tuple_row

from orchestrator.sql.postgres import native

#: As bytes, which psycopg takes from code that is not typed as literal; each statement is turned once.
_encoded = lru_cache(maxsize=256)(str.encode)


class Adapted:
    """SQLAlchemy's synchronous face of a psycopg AsyncConnection, as there is in ``AsyncSession.run_sync``."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - SQLAlchemy is not imported here
        self._connection = connection

    def rows(self, statement: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
        """Execute *statement* and fetch all its rows."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(statement, values)
            return [tuple(row) for row in cursor.fetchall()]
        finally:
            cursor.close()


def rows(connection: object, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Execute *statement*, prepared once per connection, and fetch all its rows."""
    if isinstance(connection, Adapted):
        return connection.rows(statement, values)
    with Cursor(native(connection), row_factory=tuple_row) as cursor:  # whatever its own are
        # The statements are the store's own constants; values travel as parameters.
        cursor.execute(_encoded(statement), values, prepare=True)
        return cursor.fetchall() if cursor.description else []


def settings(connection: object, statements: str) -> None:
    """Execute several statements without parameters in one round trip."""
    if isinstance(connection, Adapted):
        for statement in statements.split(";"):
            connection.rows(statement)
        return
    with Cursor(native(connection)) as cursor:
        cursor.execute(_encoded(statements), prepare=False)


def array(values: Iterable[object]) -> str:
    """An array of numbers, UUIDs or times as its text, of which the server makes the type that its place has.

    So a statement is prepared once, whatever the size of its numbers.
    """
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """The same of texts, each in quotes; for many of them far quicker than a list that psycopg takes apart."""
    quoted = ("NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in values)
    return "{" + ",".join(quoted) + "}"
