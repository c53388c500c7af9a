"""Numbered migrations of each battery, remembered in the table ``orchestrator_schema``."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from orchestrator.sql.errors import MigrationFailed, SchemaNewer, from_sqlite

_TABLE = """
CREATE TABLE IF NOT EXISTS orchestrator_schema (
    battery    TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    applied_at TEXT    NOT NULL,
    PRIMARY KEY (battery, version)
)
"""


def apply(
    connection: sqlite3.Connection, where: str, battery: str, steps: Sequence[str], now: Callable[[], datetime]
) -> None:
    """Bring *battery* to version ``len(steps)``. The connection is in autocommit mode and in no transaction.

    Each step is one transaction that takes the write lock first and looks at the version again, so that processes
    which start together do each step once. Raises SchemaNewer and MigrationFailed.
    """
    while (found := version(connection, battery)) < len(steps):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version(connection, battery) == found:
                _apply(connection, where, battery, found + 1, steps[found], now())
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    if found > len(steps):
        raise SchemaNewer(where, battery, found, len(steps))


def version(connection: sqlite3.Connection, battery: str) -> int:
    """The version of *battery* in this database; 0 when it was never here."""
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'orchestrator_schema'")
    if known.fetchone() is None:
        return 0
    row = connection.execute("SELECT max(version) FROM orchestrator_schema WHERE battery = ?", (battery,)).fetchone()
    return int(row[0] or 0)


def statements(script: str) -> Iterator[str]:
    """The single statements of *script*; a trigger's body is one with its trigger."""
    start = 0
    end = script.find(";")
    while end >= 0:
        if sqlite3.complete_statement(script[start : end + 1]):
            yield script[start : end + 1].strip()
            start = end + 1
        end = script.find(";", end + 1)
    if script[start:].strip():
        yield script[start:].strip()


def _apply(
    connection: sqlite3.Connection, where: str, battery: str, number: int, step: str, applied_at: datetime
) -> None:
    try:
        connection.execute(_TABLE)
        for statement in statements(step):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO orchestrator_schema (battery, version, applied_at) VALUES (?, ?, ?)",
            (battery, number, applied_at.strftime("%Y-%m-%d %H:%M:%S.%f")),
        )
    except sqlite3.Error as error:
        if from_sqlite(error, where) is not None:  # the database's own trouble, not the step's
            raise
        raise MigrationFailed(where, battery, number, str(error)) from error
