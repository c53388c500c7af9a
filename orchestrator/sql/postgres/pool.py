"""Connections, opened when needed and used again. Used from worker threads."""

import select
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from orchestrator.sql.errors import DatabaseClosed, ServerReadOnly
from orchestrator.sql.postgres.errors import from_connecting
from orchestrator.sql.postgres.target import Target, quoted

Driver = psycopg.Connection[tuple[Any, ...]]

#: Seconds after which a connection is replaced when it is given back, so that a moved address or a grown session ends.
OLDEST = 3600.0

_IDLE = TransactionStatus.IDLE


class Pool:
    """Up to *size* connections to *target*, the one used last first.

    Sessions have ``timezone=UTC``, ``plan_cache_mode=force_generic_plan``, the target's schema as their search_path,
    and *settings*. Those in the URL's ``options`` win over *settings*, not over the others.
    """

    def __init__(self, target: Target, size: int, settings: Mapping[str, str], clock: Callable[[], float]) -> None:
        self.where = target.where
        self._parameters = _with_options(target, settings)
        self._places = BoundedSemaphore(size)
        self._idle: list[tuple[Driver, float]] = []
        self._lock = Lock()
        self._closed = False
        self._clock = clock

    @contextmanager
    def connection(self) -> Iterator[Driver]:
        """A connection, in no transaction. It goes back to the pool, unless something may be wrong with it."""
        with self._places:
            connection, opened = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection, opened)

    def connect(self) -> Driver:
        """A connection outside the pool."""
        try:
            connection = psycopg.connect(**self._parameters)  # type: ignore[arg-type] # psycopg names its own keywords
        except psycopg.Error as error:
            raise from_connecting(error, self.where) from error
        connection.prepare_threshold = 2
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        return connection

    def check(self) -> None:
        """Find out now what would go wrong at the first unit of work."""
        with self.connection() as connection:
            row = connection.execute("SELECT current_setting('transaction_read_only'), pg_is_in_recovery()").fetchone()
            connection.rollback()
        if row is not None and row[0] == "on":
            why = "it is a standby" if row[1] else "default_transaction_read_only is on"
            raise ServerReadOnly(
                f"{self.where} refuses writes: {why}; point the URL at the primary "
                "(several hosts: target_session_attrs=read-write), or let this user write",
                self.where,
            )

    def close(self) -> None:
        """Close what is idle now, and the others when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def _take(self) -> tuple[Driver, float]:
        while True:
            with self._lock:
                if self._closed:
                    raise DatabaseClosed(
                        f"{self.where} is closed; use it inside its 'async with' block only", self.where
                    )
                if not self._idle:
                    break
                connection, opened = self._idle.pop()
            if not has_news(connection):
                return connection, opened
            connection.close()
        return self.connect(), self._clock()

    def _give_back(self, connection: Driver, opened: float) -> None:
        healthy = connection.info.transaction_status == _IDLE and self._clock() - opened < OLDEST
        with self._lock:
            if healthy and not self._closed:
                self._idle.append((connection, opened))
                return
        connection.close()


def has_news(connection: Driver) -> bool:
    """Whether there is something to read on an idle *connection*."""
    # To an idle connection a server sends nothing but its end: used, it would fail a unit of work that did no wrong.
    watch = select.poll()
    watch.register(connection.pgconn.socket, select.POLLIN)
    return bool(watch.poll(0))


def _with_options(target: Target, settings: Mapping[str, str]) -> dict[str, str]:
    ours = {
        "search_path": quoted(target.schema),
        "timezone": "UTC",
        "plan_cache_mode": "force_generic_plan",
        "datestyle": "ISO",
        "intervalstyle": "postgres",
    }
    options = " ".join(
        (_options(settings), target.parameters.get("options", ""), _options(ours)),
    )
    defaults = {"application_name": "longrun", "client_encoding": "UTF8"}
    return defaults | dict(target.parameters) | {"options": options.strip()}


def _options(settings: Mapping[str, str]) -> str:
    escaped = (f"-c {name}={value}".replace("\\", "\\\\") for name, value in settings.items())
    return " ".join(option[:3] + option[3:].replace(" ", "\\ ") for option in escaped)
