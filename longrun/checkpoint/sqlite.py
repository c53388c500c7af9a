"""Checkpoints in a SQLite file."""

from pathlib import Path

from longrun.durations import Duration
from longrun.sqlite import KeptInFile, Schema, SqliteFile

_SCHEMA = Schema(
    "checkpoints",
    ("CREATE TABLE longrun_checkpoints (key TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID",),
)


class SqliteCheckpoints(KeptInFile):
    """A :class:`longrun.checkpoint.CheckpointStore` in the file at *path*, which other stores of ours may share.

    A state that was saved survives a killed process and a power cut. ``async with`` opens the file, so that one that
    cannot be used is found out at once, and closes it; without it the file is opened at first use and closed by
    :meth:`aclose`. Raises :class:`longrun.sqlite.errors.StoreError`, which names the path and the remedy.
    """

    def __init__(self, path: str | Path, *, busy_timeout: Duration = 5.0) -> None:
        super().__init__(SqliteFile(path, _SCHEMA, synchronous="FULL", busy_timeout=busy_timeout))

    async def save(self, key: str, state: bytes) -> None:
        """See the port."""
        statement = "INSERT OR REPLACE INTO longrun_checkpoints VALUES (?, ?)"
        await self._file.write(lambda connection: connection.execute(statement, (key, state)))

    async def load(self, key: str) -> bytes | None:
        """See the port."""
        statement = "SELECT CAST(state AS BLOB) FROM longrun_checkpoints WHERE key = ?"
        row = await self._file.read(lambda connection: connection.execute(statement, (key,)).fetchone())
        return None if row is None else bytes(row[0])

    async def delete(self, key: str) -> None:
        """See the port."""
        statement = "DELETE FROM longrun_checkpoints WHERE key = ?"
        await self._file.write(lambda connection: connection.execute(statement, (key,)))
