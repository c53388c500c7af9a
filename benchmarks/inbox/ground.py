"""What a system stands on, as the process that measures sees it: what is left to do, and what the database used."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol

_TICKS = os.sysconf("SC_CLK_TCK")


class Ground(Protocol):
    """A database that is measured."""

    def settle(self) -> None:
        """Before the clock runs: statistics are up to date, and no checkpoint is due."""
        ...

    def left(self, query: str) -> bool:
        """Whether *query* says that work is left."""
        ...

    def used(self) -> dict[str, float]:
        """What was used so far: ``server_s`` of CPU, ``wal`` in bytes. Empty where nobody can tell."""
        ...

    def transactions(self) -> float | None:
        """How many transactions there have been, as far as the server has counted."""
        ...


class PostgresGround:
    """The database at *url*, looked at through two connections, one of them to another database."""

    def __init__(self, url: str) -> None:
        import psycopg

        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        self._aside = psycopg.connect(url, dbname="postgres", autocommit=True)
        self._name = self._connection.info.dbname
        self._postmaster = _parent(self._connection.info.backend_pid)

    def settle(self) -> None:
        """See :class:`Ground`. After a checkpoint the first change of each page writes it whole into the log."""
        self._connection.execute("VACUUM ANALYZE")
        self._connection.execute("CHECKPOINT")

    def left(self, query: str) -> bool:
        """See :class:`Ground`."""
        row = self._connection.execute(query).fetchone()
        return row is not None and bool(row[0])

    def used(self) -> dict[str, float]:
        """See :class:`Ground`. CPU of the postmaster, of all its children, and of those that are gone."""
        row = self._aside.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8").fetchone()
        found = {} if row is None else {"wal": float(row[0])}
        if self._postmaster is None:
            return found
        own = _times(self._postmaster)
        total = sum(own[1:]) if own else 0.0
        for folder in Path("/proc").glob("[0-9]*"):
            times = _times(int(folder.name))
            if times and times[0] == self._postmaster:
                total += times[1] + times[2]
        return {**found, "server_s": total / _TICKS}

    def transactions(self) -> float | None:
        """See :class:`Ground`."""
        row = self._aside.execute(
            "SELECT (xact_commit + xact_rollback)::float8 FROM pg_stat_database WHERE datname = %s", (self._name,)
        ).fetchone()
        return None if row is None else float(row[0])


class SqliteGround:
    """The file at *url*."""

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("sqlite://")

    def settle(self) -> None:
        """See :class:`Ground`."""
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("ANALYZE")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def left(self, query: str) -> bool:
        """See :class:`Ground`."""
        with closing(sqlite3.connect(self._path)) as connection:
            return bool(connection.execute(query).fetchone()[0])

    def used(self) -> dict[str, float]:
        """See :class:`Ground`. It has no server."""
        return {}

    def transactions(self) -> float | None:
        """See :class:`Ground`."""
        return None


def ground(url: str) -> Ground:
    """That of the database at *url*."""
    return SqliteGround(url) if url.startswith("sqlite") else PostgresGround(url)


def memory(pid: int) -> float:
    """MiB of process *pid* in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def used(backend: int) -> float | None:
    """CPU seconds of the server's process *backend*; None when it is not on this machine."""
    times = _times(backend) if _parent(backend) is not None else None
    return None if times is None else (times[1] + times[2]) / _TICKS


def _times(pid: int) -> tuple[int, int, int, int, int] | None:
    # Parent; user and system time, of the process and of those of its children that it has waited for.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[11]), int(fields[12]), int(fields[13]), int(fields[14])


def _parent(backend: int) -> int | None:
    # None for a server on another machine, whose numbers mean something else here.
    try:
        name = Path(f"/proc/{backend}/comm").read_text().strip()
    except OSError:
        return None
    times = _times(backend)
    return times[0] if times and name == "postgres" else None
