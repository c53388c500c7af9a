"""Statements of the store on the psycopg connection underneath a unit of work."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from psycopg.rows import tuple_row

from orchestrator.sql.postgres import native

#: As bytes, which psycopg takes from code that is not typed as literal; each statement is turned once.
_encoded = lru_cache(maxsize=256)(str.encode)


def rows(connection: object, statement: str, values: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Execute *statement*, prepared once per connection, and fetch all its rows."""
    with native(connection).cursor(row_factory=tuple_row) as cursor:
        # The statements are the store's own constants; values travel as parameters.
        cursor.execute(_encoded(statement), values, prepare=True)
        return cursor.fetchall() if cursor.description else []


def settings(connection: object, statements: str) -> None:
    """Execute several statements without parameters in one round trip."""
    with native(connection).cursor() as cursor:
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
