"""NOTIFY after commit, on a connection of its own, many in one."""

import logging
import time
from collections.abc import Callable
from threading import Condition, Thread

import psycopg

from orchestrator.sql.errors import DatabaseClosed, SqlError
from orchestrator.sql.postgres.pool import Driver
from orchestrator.sql.postgres.target import checked_name

logger = logging.getLogger("orchestrator.sql")

#: Seconds between two batches. A notification in every transaction would make all commits of the server queue.
INTERVAL = 0.005

#: Bytes; PostgreSQL takes less than 8000.
_LONGEST_PAYLOAD = 7999

_SEND = "SELECT pg_notify(c, p) FROM unnest(%s::text[], %s::text[]) AS t (c, p)"


class Notifier:
    """Sends notifications from a thread of its own, which starts with the first one."""

    def __init__(self, connect: Callable[[], Driver]) -> None:
        self._connect = connect
        self._pending: dict[tuple[str, str], None] = {}
        self._news = Condition()
        self._thread: Thread | None = None
        self._closed = False

    def notify(self, channel: str, payload: str) -> None:
        """Send it soon. ValueError for a channel or a payload that PostgreSQL does not take."""
        checked_name(channel, "the channel")
        if "\0" in payload or len(payload.encode()) > _LONGEST_PAYLOAD:
            raise ValueError(f"the payload is {payload!r:.80}; at most {_LONGEST_PAYLOAD} bytes are sent, and no NUL")
        with self._news:
            if self._closed:
                raise DatabaseClosed(f"{channel!r} cannot be notified: the database is closed", channel)
            self._pending[channel, payload] = None
            if self._thread is None:
                self._thread = Thread(target=self._run, name="postgres-notify", daemon=True)
                self._thread.start()
            self._news.notify()

    def close(self) -> None:
        """Send what is pending, once, and end."""
        with self._news:
            self._closed = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        connection: Driver | None = None
        try:
            while batch := self._next():
                connection = self._send(connection, batch)
                if not self._closed:
                    time.sleep(INTERVAL)
        finally:
            if connection is not None:
                connection.close()

    def _next(self) -> list[tuple[str, str]]:
        with self._news:
            while not self._pending and not self._closed:
                self._news.wait()
            batch, self._pending = list(self._pending), {}
            return batch

    def _send(self, connection: Driver | None, batch: list[tuple[str, str]]) -> Driver | None:
        channels, payloads = [channel for channel, _ in batch], [payload for _, payload in batch]
        for attempt in (1, 2):  # an idle connection may be broken already
            try:
                if connection is None:
                    connection = self._connect()
                    connection.autocommit = True
                    connection.execute("SET synchronous_commit = off")  # there is nothing to keep
                connection.execute(_SEND, (channels, payloads))
            except (SqlError, psycopg.Error) as error:
                if connection is not None:
                    connection.close()
                    connection = None
                if attempt == 2:
                    logger.warning(
                        "%d notifications were not sent, listeners find out by polling: %s", len(batch), error
                    )
            else:
                break
        return connection
