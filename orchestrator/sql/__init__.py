"""The service's own database: connection, units of work, numbered migrations, one error tree.

A leaf: it imports contracts, anyio and the standard library, and every battery may import it. PostgreSQL is in
:mod:`orchestrator.sql.postgres`, which alone imports psycopg, and only when a URL names it.
"""

from orchestrator.sql.connect import open_database
from orchestrator.sql.errors import (
    AccessDenied,
    ConnectionLost,
    DatabaseBusy,
    DatabaseClosed,
    DatabaseCorrupt,
    DatabaseInUse,
    DatabaseReadOnly,
    DatabaseUnopenable,
    DatabaseUnreachable,
    DatabaseUrlError,
    DiskFailing,
    DiskFull,
    DriverMissing,
    MigrationFailed,
    SchemaNewer,
    SchemaOlder,
    ServerExhausted,
    ServerReadOnly,
    ServerStopping,
    SqlError,
    StatementTimeout,
    TooManyConnections,
    TransactionAborted,
    TransactionConflict,
    UnknownDatabase,
    UnsupportedServer,
)
from orchestrator.sql.kind import Lane, Listening, Server, dialect_of, schema_of, server_of, version_of, where_of
from orchestrator.sql.sqlite import SqliteDatabase
from orchestrator.sql.state import StateDatabase
from orchestrator.sql.url import Dialect, dialect, sqlite_path

__all__ = [
    "AccessDenied",
    "ConnectionLost",
    "DatabaseBusy",
    "DatabaseClosed",
    "DatabaseCorrupt",
    "DatabaseInUse",
    "DatabaseReadOnly",
    "DatabaseUnopenable",
    "DatabaseUnreachable",
    "DatabaseUrlError",
    "Dialect",
    "DiskFailing",
    "DiskFull",
    "DriverMissing",
    "Lane",
    "Listening",
    "MigrationFailed",
    "SchemaNewer",
    "SchemaOlder",
    "Server",
    "ServerExhausted",
    "ServerReadOnly",
    "ServerStopping",
    "SqlError",
    "SqliteDatabase",
    "StateDatabase",
    "StatementTimeout",
    "TooManyConnections",
    "TransactionAborted",
    "TransactionConflict",
    "UnknownDatabase",
    "UnsupportedServer",
    "dialect",
    "dialect_of",
    "open_database",
    "schema_of",
    "server_of",
    "sqlite_path",
    "version_of",
    "where_of",
]
