"""What the handlers of a storm leave in the database, and what the database itself records of every move of a run.

``storm_effect`` has a row for each step of each execution: *token* is the execution's own, so that two under one fence
are told apart. ``storm_move`` is written by a trigger, so no writer can leave itself out of it.
"""

import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import anyio
import psycopg

from orchestrator.inbox import Inbox
from orchestrator.sql import SqlError

#: A server that, when it crashes, has forgotten what nobody waited for.
FORGETFUL = {"wal_writer_delay": "10s"}

#: Of ``storm.total`` at most so many are leased at once.
TOTAL = 2

#: The exit code of a process that found no database when it started; a supervisor starts it again.
NOT_STARTED = 75

_EFFECT = """
CREATE TABLE IF NOT EXISTS storm_effect (
    run_id TEXT NOT NULL, worker TEXT NOT NULL, fence BIGINT NOT NULL, token TEXT NOT NULL, step INT NOT NULL
)
"""
_MOVE_COLUMNS = """
    run_id TEXT NOT NULL, old_status TEXT NOT NULL, new_status TEXT NOT NULL, old_fence BIGINT NOT NULL,
    new_fence BIGINT NOT NULL, old_by TEXT, new_by TEXT, error TEXT
"""
_VALUES = """
    CAST({new}.id AS TEXT), {old}.status, {new}.status, {old}.fence, {new}.fence, {old}.leased_by, {new}.leased_by,
    {new}.last_error
"""
_VALUES = _VALUES.format(old="OLD", new="NEW")

POSTGRES = (
    _EFFECT,
    f"CREATE TABLE IF NOT EXISTS storm_move (seq BIGSERIAL, {_MOVE_COLUMNS})",
    f"""
    CREATE OR REPLACE FUNCTION storm_moved() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO workflow.storm_move (run_id, old_status, new_status, old_fence, new_fence, old_by, new_by, error)
        VALUES ({_VALUES});
        RETURN NULL;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER storm_moved AFTER UPDATE ON workflow_run FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.fence <> NEW.fence OR OLD.leased_by IS DISTINCT FROM NEW.leased_by)
    EXECUTE FUNCTION storm_moved()
    """,
)

SQLITE = (
    _EFFECT,
    f"CREATE TABLE IF NOT EXISTS storm_move (seq INTEGER PRIMARY KEY, {_MOVE_COLUMNS})",
    f"""
    CREATE TRIGGER IF NOT EXISTS storm_moved AFTER UPDATE ON workflow_run
    WHEN OLD.status <> NEW.status OR OLD.fence <> NEW.fence OR OLD.leased_by IS NOT NEW.leased_by
    BEGIN
        INSERT INTO storm_move (run_id, old_status, new_status, old_fence, new_fence, old_by, new_by, error)
        VALUES ({_VALUES});
    END
    """,
)

INSERT = "INSERT INTO storm_effect (run_id, worker, fence, token, step) VALUES (?, ?, ?, ?, ?)"


def prepare_postgres(url: str) -> None:
    """The tables of the inbox and those of a storm."""
    _migrate(url)
    with psycopg.connect(url, autocommit=True, options="-c search_path=workflow") as connection:
        for statement in POSTGRES:
            connection.execute(statement.encode())


def prepare_sqlite(path: Path) -> None:
    """The same in a file."""
    _migrate(f"sqlite://{path}")
    with closing(sqlite3.connect(path)) as connection:
        for statement in SQLITE:
            connection.execute(statement)
        connection.commit()


def _migrate(url: str) -> None:
    async def migrate() -> None:
        async with Inbox.open(url):
            pass

    anyio.run(migrate)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Inbox]:
    """The inbox at *url*; the process ends with NOT_STARTED when the database is away just now."""
    async with AsyncExitStack() as stack:
        try:
            inbox = await stack.enter_async_context(Inbox.open(url, migrate=False))
        except SqlError as error:
            if getattr(error, "retryable", False):
                print(error, file=sys.stderr)
                sys.exit(NOT_STARTED)
            raise
        yield inbox
