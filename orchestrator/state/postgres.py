"""Checkpoints and attempts on PostgreSQL, for services whose replicas have no disk of their own."""

import time
from collections.abc import Callable, Mapping, Sequence

from longrun.attempts.attempts import TTL, Attempts, understood
from longrun.attempts.keys import end_of
from longrun.attempts.memory import CLEANED_EVERY
from longrun.durations import Duration, seconds
from orchestrator.contracts import Connection, Database
from orchestrator.sql import where_of

#: The name of these tables among the batteries of a database.
BATTERY = "state"

# Prefixes of keys are ranges: they are compared byte by byte.
STEPS = (
    """
    CREATE TABLE longrun_checkpoints (key TEXT COLLATE "C" PRIMARY KEY, state BYTEA NOT NULL);
    CREATE TABLE longrun_attempts (
        key        TEXT COLLATE "C" PRIMARY KEY,
        count      BIGINT NOT NULL,
        last_wait  DOUBLE PRECISION NOT NULL,
        not_before DOUBLE PRECISION NOT NULL
    )
    """,
)

_SAVE = """
INSERT INTO longrun_checkpoints (key, state) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET state = excluded.state
"""
# An expired count begins anew. A count that somebody has made nonsense of does so as well.
_INCREMENT = """
INSERT INTO longrun_attempts AS kept (key, count, last_wait, not_before) VALUES (:key, :by, :wait, :not_before)
ON CONFLICT (key) DO UPDATE SET
    count = CASE WHEN kept.not_before >= :horizon AND kept.count > 0 THEN kept.count ELSE 0 END + excluded.count,
    last_wait = excluded.last_wait,
    not_before = excluded.not_before
RETURNING count
"""
_SELECT = "SELECT key, count, last_wait, not_before FROM longrun_attempts WHERE not_before >= ? AND "
_DELETE = "DELETE FROM longrun_attempts WHERE "
_ONE = "key = ?"
_ALL = "key >= ? AND key < ?"


class PostgresCheckpoints:
    """A :class:`longrun.checkpoint.CheckpointStore` in *database*, whose tables are there. Raises SqlError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, key: str, state: bytes) -> None:
        """See the port."""
        await _write(self._database, _SAVE, (key, bytes(state)))

    async def load(self, key: str) -> bytes | None:
        """See the port."""
        statement = "SELECT state FROM longrun_checkpoints WHERE key = ?"
        row = await self._database.read(lambda connection: connection.execute(statement, (key,)).fetchone())
        return None if row is None else bytes(row[0])

    async def delete(self, key: str) -> None:
        """See the port."""
        await _write(self._database, "DELETE FROM longrun_checkpoints WHERE key = ?", (key,))

    def __repr__(self) -> str:
        return f"<PostgresCheckpoints {where_of(self._database)}>"


class PostgresAttempts:
    """A :class:`longrun.attempts.AttemptStore` in *database*, whose tables are there. Raises SqlError.

    *ttl*: seconds; *wall*: the clock, seconds since the epoch.
    """

    def __init__(self, database: Database, *, ttl: Duration = TTL, wall: Callable[[], float] = time.time) -> None:
        self._database = database
        self._ttl = seconds(ttl, "PostgresAttempts ttl")
        self._wall = wall
        self._clean_at = 0.0

    async def increment(self, key: str, *, wait: float, not_before: float, by: int = 1) -> int:
        """See the port."""
        new = Attempts(by, wait, not_before)
        wall = self._wall()

        def work(connection: Connection) -> int:
            self._clean(connection, wall)
            values = {"key": key, "by": by, "wait": new.last_wait, "not_before": new.not_before}
            row = connection.execute(_INCREMENT, {**values, "horizon": wall - self._ttl}).fetchone()
            assert row is not None, "an upsert returns its row"
            return int(row[0])

        return await self._database.transaction(work)

    async def get(self, key: str) -> Attempts | None:
        """See the port."""
        return (await self._select(_ONE, key)).get(key)

    async def load(self, prefix: str) -> Mapping[str, Attempts]:
        """See the port."""
        return await self._select(_ALL, prefix, end_of(prefix))

    async def reset(self, prefix: str) -> None:
        """See the port."""
        condition, values = (_ALL, (prefix, end_of(prefix))) if prefix.endswith("/") else (_ONE, (prefix,))
        await _write(self._database, _DELETE + condition, values)

    async def _select(self, condition: str, *values: str) -> dict[str, Attempts]:
        horizon = self._wall() - self._ttl

        def work(connection: Connection) -> list[tuple[object, ...]]:
            found = connection.execute(_SELECT + condition, (horizon, *values)).fetchall()
            return [(row[0], row[1], row[2], row[3]) for row in found]

        return dict(understood(await self._database.read(work), where_of(self._database)))

    def _clean(self, connection: Connection, wall: float) -> None:
        if wall < self._clean_at <= wall + CLEANED_EVERY:
            return
        connection.execute(_DELETE + "not_before < ?", (wall - self._ttl,))
        self._clean_at = wall + CLEANED_EVERY

    def __repr__(self) -> str:
        return f"<PostgresAttempts {where_of(self._database)}>"


async def _write(database: Database, statement: str, values: Sequence[object]) -> None:
    def work(connection: Connection) -> None:
        connection.execute(statement, values)

    await database.transaction(work)
