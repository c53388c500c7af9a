"""NOTIFY after commit, on a connection of its own, many in one."""

import logging
import math
import select
import time
from collections.abc import Callable
from contextlib import suppress
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
    """Sends notifications: one after a pause from the thread of the caller, others from a thread of its own.

    That thread opens the connection, with the first notification, and opens it again when it is lost.
    """

    def __init__(self, connect: Callable[[], Driver]) -> None:
        self._connect = connect
        self._pending: dict[tuple[str, str], None] = {}
        self._news = Condition()
        self._thread: Thread | None = None
        self._idle: Driver | None = None
        self._sent_at = -math.inf
        self._closed = False

    def notify(self, channel: str, payload: str) -> None:
        """Send it soon. ValueError for a channel or a payload that PostgreSQL does not take."""
        checked_name(channel, "the channel")
        if "\0" in payload or len(payload.encode()) > _LONGEST_PAYLOAD:
            raise ValueError(f"the payload is {payload!r:.80}; at most {_LONGEST_PAYLOAD} bytes are sent, and no NUL")
        with self._news:
            if self._closed:
                raise DatabaseClosed(f"{channel!r} cannot be notified: the database is closed", channel)
            if self._at_once(channel, payload):
                return
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
        if self._idle is not None:
            self._idle.close()

    def _at_once(self, channel: str, payload: str) -> bool:
        # A thread that has to wake up first is most of what a notification costs. Nothing here waits: the answer of the
        # server is read before the connection is used again.
        if self._idle is None or self._pending or time.monotonic() - self._sent_at < INTERVAL:
            return False
        pgconn = self._idle.pgconn
        try:
            pgconn.consume_input()
            if pgconn.is_busy():
                return False
            while pgconn.get_result() is not None:
                pass
            pgconn.send_query_params(b"SELECT pg_notify($1, $2)", [channel.encode(), payload.encode()])
            pgconn.flush()
        except psycopg.Error:
            return False  # the thread finds out, and connects anew
        self._sent_at = time.monotonic()
        return True

    def _run(self) -> None:
        connection: Driver | None = None
        while batch := self._next(connection):
            connection = self._send(self._taken(), batch)
            if not self._closed:
                time.sleep(max(0.0, self._sent_at + INTERVAL - time.monotonic()))

    def _next(self, connection: Driver | None) -> list[tuple[str, str]]:
        with self._news:
            self._idle = connection
            while not self._pending and not self._closed:
                self._news.wait()
            batch, self._pending = list(self._pending), {}
            return batch

    def _taken(self) -> Driver | None:
        with self._news:
            connection, self._idle = self._idle, None
        if connection is not None:
            _read(connection)
        return connection

    def _send(self, connection: Driver | None, batch: list[tuple[str, str]]) -> Driver | None:
        channels, payloads = [channel for channel, _ in batch], [payload for _, payload in batch]
        for attempt in (1, 2):  # an idle connection may be broken already
            try:
                if connection is None:
                    connection = self._connect()
                    connection.autocommit = True
                    connection.execute("SET synchronous_commit = off")  # there is nothing to keep
                connection.execute(_SEND, (channels, payloads))
                self._sent_at = time.monotonic()
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


def _read(connection: Driver) -> None:
    """Read the answer to what was sent at once."""
    pgconn, watch = connection.pgconn, select.poll()
    with suppress(psycopg.Error):  # whoever uses it next is told so, too
        watch.register(pgconn.socket, select.POLLIN)
        pgconn.consume_input()
        while pgconn.is_busy():
            watch.poll()
            pgconn.consume_input()
        while pgconn.get_result() is not None:
            pass
