"""PostgreSQL as the service's database, through psycopg 3. Needs the extra ``postgres``.

Only :func:`orchestrator.sql.open_database` and those who are on PostgreSQL anyway import this package: it imports
psycopg.
"""

from orchestrator.sql.postgres.connection import PortableConnection, native
from orchestrator.sql.postgres.database import PostgresDatabase
from orchestrator.sql.postgres.listener import Listening
from orchestrator.sql.postgres.target import Target

__all__ = ["Listening", "PortableConnection", "PostgresDatabase", "Target", "native"]
