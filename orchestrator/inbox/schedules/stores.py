"""Which adapter keeps the schedules of a database."""

from collections.abc import Callable
from datetime import datetime

from orchestrator.contracts import Database
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.schedules import ScheduleStore
from orchestrator.inbox.store.sqlite.schedules import SqliteSchedules
from orchestrator.sql import dialect_of, schema_of


def schedule_store(
    database: Database, runs: Store, ids: Callable[[], str], now: Callable[[], datetime]
) -> ScheduleStore:
    """The adapter for the kind of database that *database* is; its fires become runs in *runs*."""
    if dialect_of(database) == "sqlite":
        return SqliteSchedules(runs, ids, now)
    from orchestrator.inbox.store.postgres.schedules import PostgresSchedules  # the driver is loaded only where used

    return PostgresSchedules(runs, ids, schema_of(database))
