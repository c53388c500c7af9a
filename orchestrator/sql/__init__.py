"""The service's own database: connection, units of work, numbered migrations, one error tree.

A leaf: it imports contracts, anyio and the standard library, and every battery may import it. SQLite in this version.
"""

from orchestrator.sql.errors import (
    DatabaseBusy,
    DatabaseClosed,
    DatabaseCorrupt,
    DatabaseInUse,
    DatabaseReadOnly,
    DatabaseUnopenable,
    DatabaseUrlError,
    DiskFailing,
    DiskFull,
    MigrationFailed,
    SchemaNewer,
    SqlError,
)
from orchestrator.sql.sqlite import SqliteDatabase
from orchestrator.sql.state import StateDatabase
from orchestrator.sql.url import sqlite_path

__all__ = [
    "DatabaseBusy",
    "DatabaseClosed",
    "DatabaseCorrupt",
    "DatabaseInUse",
    "DatabaseReadOnly",
    "DatabaseUnopenable",
    "DatabaseUrlError",
    "DiskFailing",
    "DiskFull",
    "MigrationFailed",
    "SchemaNewer",
    "SqlError",
    "SqliteDatabase",
    "StateDatabase",
    "sqlite_path",
]
