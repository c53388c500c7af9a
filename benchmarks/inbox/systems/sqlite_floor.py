"""The floor on SQLite: the module of the standard library, on our tables, with our event rows and our durability."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count as counter
from typing import Any

import anyio

from benchmarks.inbox.system import Client, Go
from benchmarks.inbox.systems.longrun import KIND, Longrun
from benchmarks.inbox.tally import Tally
from orchestrator.inbox.ids import RunIds
from orchestrator.inbox.wire import to_text

_DUE = """
SELECT id, payload, attempt, fence FROM workflow_run INDEXED BY orchestrator_run_claim
WHERE status = 'pending' AND ready = 1 AND deleted_at IS NULL AND type = ? AND run_at <= ?
ORDER BY priority, run_at, id LIMIT ?
"""
_CLAIM = """
UPDATE workflow_run SET status = 'leased', leased_by = 'floor', lease_until = ?, updated_at = ?, fence = fence + 1,
claims = claims + 1 WHERE id = ?
"""
_COMPLETE = """
UPDATE workflow_run SET status = 'succeeded', leased_by = NULL, lease_until = NULL, result = 'null', updated_at = ?
WHERE id = ? AND status = 'leased' AND leased_by = 'floor' AND fence = ?
"""
_EVENT = "INSERT INTO workflow_event (workflow_id, event_type, data, created_at) VALUES (?, ?, ?, ?)"
_STORE = """
INSERT INTO workflow_run (id, type, payload, priority, run_at, ready, max_attempts, created_at, updated_at)
VALUES (?, ?, ?, 100, ?, 1, 3, ?, ?)
"""


class Floor(Longrun):
    """Complete a *batch*, claim the next one, commit; in one thread."""

    def __init__(self, url: str, batch: int = 250) -> None:
        super().__init__(url)
        self._path = url.removeprefix("sqlite://")
        self._batch = batch

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Rows stored at once."""
        connection = connect(self._path)
        yield _Client(connection)
        connection.close()

    async def work(self, tally: Tally, go: Go) -> None:
        connection = connect(self._path)
        await go()
        self._drain(connection, tally)
        await anyio.sleep_forever()

    def _drain(self, connection: sqlite3.Connection, tally: Tally) -> None:
        ended: list[tuple[Any, ...]] = []
        while True:
            moment = datetime.now(UTC)
            now, until = to_text(moment), to_text(moment + timedelta(seconds=30))
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_COMPLETE, [(now, row[0], row[3] + 1) for row in ended])
            events: list[tuple[Any, ...]] = [(row[0], "succeeded", None, now) for row in ended]
            due = connection.execute(_DUE, (KIND, now, self._batch)).fetchall()
            connection.executemany(_CLAIM, [(until, now, row[0]) for row in due])
            for row in due:
                events.append((row[0], "leased", '{"worker_id": "floor", "attempt": 0}', now))
                events.append((row[0], "started", '{"worker_id": "floor"}', now))
            connection.executemany(_EVENT, events)
            connection.execute("COMMIT")
            for _ in due:
                tally.hit()
            if not due:
                return
            ended = due


class _Client:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids = RunIds(lambda: datetime.now(UTC))
        self._made = counter()

    async def submit(self) -> None:
        await self.submit_many(1)

    async def submit_many(self, count: int) -> None:
        now = to_text(datetime.now(UTC))
        ids = [self._ids() for _ in range(count)]
        self._connection.execute("BEGIN IMMEDIATE")
        payloads = [json.dumps({"i": next(self._made), "tenant": "t00000"}) for _ in ids]
        rows = [(id_, KIND, payload, now, now, now) for id_, payload in zip(ids, payloads, strict=True)]
        self._connection.executemany(_STORE, rows)
        self._connection.executemany(_EVENT, [(id_, "created", None, now) for id_ in ids])
        self._connection.execute("COMMIT")


def connect(path: str) -> sqlite3.Connection:
    """As our own connections are: a commit is on the disk when it returns."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection
