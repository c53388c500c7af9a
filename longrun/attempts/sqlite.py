"""Attempts in a SQLite file."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from longrun.attempts.attempts import TTL, Attempts, understood
from longrun.attempts.keys import end_of
from longrun.attempts.memory import CLEANED_EVERY
from longrun.durations import Duration, seconds
from longrun.sqlite import KeptInFile, Schema, SqliteFile

if TYPE_CHECKING:
    import sqlite3

_SCHEMA = Schema(
    "attempts",
    (
        """
        CREATE TABLE longrun_attempts (
            key        TEXT    PRIMARY KEY,
            count      INTEGER NOT NULL,
            last_wait  REAL    NOT NULL,
            not_before REAL    NOT NULL
        ) WITHOUT ROWID
        """,
    ),
)

# An expired count begins anew. A count that somebody has made nonsense of does so as well.
_INCREMENT = """
    INSERT INTO longrun_attempts (key, count, last_wait, not_before) VALUES (:key, :by, :wait, :not_before)
    ON CONFLICT (key) DO UPDATE SET
        count = CASE
            WHEN not_before >= :horizon AND typeof(count) = 'integer' AND count > 0 THEN count + :by ELSE :by
        END,
        last_wait = :wait,
        not_before = :not_before
"""
_SELECT = "SELECT key, count, last_wait, not_before FROM longrun_attempts WHERE not_before >= ? AND "


class SqliteAttempts(KeptInFile):
    """A :class:`longrun.attempts.AttemptStore` in the file at *path*, which other stores of ours may share.

    What was stored survives a killed process. It is not synced to the disk each time: a power cut may take the last
    counts, which costs a shorter wait, where a sync would cost each failing task one. *ttl*: seconds; *wall*: the
    clock, seconds since the epoch. ``async with`` opens the file and closes it; without it the file is opened at first
    use and closed by :meth:`aclose`. Raises :class:`longrun.sqlite.errors.StoreError`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        ttl: Duration = TTL,
        wall: Callable[[], float] = time.time,
        busy_timeout: Duration = 5.0,
    ) -> None:
        super().__init__(SqliteFile(path, _SCHEMA, synchronous="NORMAL", busy_timeout=busy_timeout))
        self._ttl = seconds(ttl, "SqliteAttempts ttl")
        self._wall = wall
        self._clean_at = 0.0

    async def increment(self, key: str, *, wait: float, not_before: float, by: int = 1) -> int:
        """See the port."""
        new = Attempts(by, wait, not_before)
        wall = self._wall()

        def work(connection: "sqlite3.Connection") -> int:
            self._clean(connection, wall)
            values = {"key": key, "by": by, "wait": new.last_wait, "not_before": new.not_before}
            connection.execute(_INCREMENT, {**values, "horizon": wall - self._ttl})
            row = connection.execute("SELECT count FROM longrun_attempts WHERE key = ?", (key,)).fetchone()
            return int(row[0])

        return await self._file.write(work)

    async def get(self, key: str) -> Attempts | None:
        """See the port."""
        return (await self._select("key = ?", key)).get(key)

    async def load(self, prefix: str) -> Mapping[str, Attempts]:
        """See the port."""
        return await self._select("key >= ? AND key < ?", prefix, end_of(prefix))

    async def reset(self, prefix: str) -> None:
        """See the port."""
        condition = "key >= ? AND key < ?" if prefix.endswith("/") else "key = ?"
        values = (prefix, end_of(prefix)) if prefix.endswith("/") else (prefix,)
        statement = f"DELETE FROM longrun_attempts WHERE {condition}"  # one of two fixed texts
        await self._file.write(lambda connection: connection.execute(statement, values))

    async def _select(self, condition: str, *values: str) -> dict[str, Attempts]:
        horizon = self._wall() - self._ttl

        def work(connection: "sqlite3.Connection") -> list[tuple[object, ...]]:
            return connection.execute(_SELECT + condition, (horizon, *values)).fetchall()

        return dict(understood(await self._file.read(work), self._file.where))

    def _clean(self, connection: "sqlite3.Connection", wall: float) -> None:
        if wall < self._clean_at <= wall + CLEANED_EVERY:
            return
        connection.execute("DELETE FROM longrun_attempts WHERE not_before < ?", (wall - self._ttl,))
        self._clean_at = wall + CLEANED_EVERY
