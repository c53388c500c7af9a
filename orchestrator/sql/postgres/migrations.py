"""Numbered migrations of each battery, remembered in the table ``orchestrator_schema`` of the target's schema."""

from collections.abc import Sequence
from hashlib import sha256

import psycopg

from orchestrator.sql.errors import MigrationFailed, SchemaNewer
from orchestrator.sql.postgres.errors import from_postgres
from orchestrator.sql.postgres.pool import Driver
from orchestrator.sql.postgres.target import quoted

_TABLE = """
CREATE TABLE IF NOT EXISTS orchestrator_schema (
    battery    text        NOT NULL,
    version    integer     NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (battery, version)
)
"""

_KNOWN = """
SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE nspname = %s AND relname = 'orchestrator_schema'
"""

#: A step waits so long for the locks it needs; everybody else waits behind it.
_LOCK_TIMEOUT = "10s"


def apply(connection: Driver, where: str, schema: str, battery: str, steps: Sequence[str]) -> None:
    """Bring *battery* to version ``len(steps)``, in a schema that is made when it is missing.

    Each step is one transaction under an advisory lock that looks at the version again, so that processes which start
    together do each step once. Raises SchemaNewer and MigrationFailed.
    """
    while (found := version(connection, schema, battery)) < len(steps):
        try:
            _lock(connection, schema)
            if _version(connection, schema, battery) == found:
                _apply(connection, where, schema, battery, found + 1, steps[found])
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
    if found > len(steps):
        raise SchemaNewer(where, battery, found, len(steps))


def version(connection: Driver, schema: str, battery: str) -> int:
    """The version of *battery* in *schema*; 0 when it was never here. The connection is in no transaction."""
    try:
        return _version(connection, schema, battery)
    finally:
        connection.rollback()


def _version(connection: Driver, schema: str, battery: str) -> int:
    # Not to_regclass, nor the search_path: having waited for an advisory lock, a session still believes what it knew.
    known = connection.execute(_KNOWN, (schema,)).fetchone()
    if known is None:
        return 0
    query = f"SELECT max(version) FROM {quoted(schema)}.orchestrator_schema WHERE battery = %s"
    row = connection.execute(query.encode(), (battery,)).fetchone()
    return 0 if row is None or row[0] is None else int(row[0])


def _lock(connection: Driver, schema: str) -> None:
    key = int.from_bytes(sha256(f"orchestrator_schema {schema}".encode()).digest()[:8], "big", signed=True)
    connection.execute("SET LOCAL statement_timeout = 0")  # thirty processes may stand in line
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (key,))
    connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'".encode())


def _apply(connection: Driver, where: str, schema: str, battery: str, number: int, step: str) -> None:
    try:
        # CREATE SCHEMA IF NOT EXISTS asks for the right to create one also when it is there.
        if connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
            connection.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
        connection.execute(_TABLE)
        connection.execute(step.encode(), prepare=False)  # a script: several statements in one
        connection.execute("INSERT INTO orchestrator_schema (battery, version) VALUES (%s, %s)", (battery, number))
    except psycopg.Error as error:
        if from_postgres(error, where) is not None:  # the database's own trouble, not the step's
            raise
        raise MigrationFailed(where, battery, number, " ".join(str(error).split())) from error
