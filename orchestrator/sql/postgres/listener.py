"""LISTEN on one connection, in a thread of its own."""

import logging
import random
import select
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from threading import Lock, Thread

import psycopg

from orchestrator.sql.errors import DatabaseClosed, SqlError
from orchestrator.sql.postgres.pool import Driver
from orchestrator.sql.postgres.target import checked_name, quoted

logger = logging.getLogger("orchestrator.sql")

Heard = Callable[[str, str], None]

#: Seconds until a broken connection is tried again: doubled each time, and spread, for all replicas lose it together.
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0


class Listening:
    """One who listens. Until the first connection, and while it is broken, :attr:`up` is False: poll faster then."""

    def __init__(self, listener: "Listener", channels: Sequence[str], heard: Heard) -> None:
        self.channels = tuple(dict.fromkeys(checked_name(channel, "the channel") for channel in channels))
        self._listener = listener
        self._heard = heard
        self._in_loop = _in_loop()

    @property
    def up(self) -> bool:
        """Whether notifications come in now."""
        return self._listener.up.issuperset(self.channels)

    def tell(self, notices: Sequence[tuple[str, str]]) -> None:
        """Call back for *notices*, in the event loop. From the listener's thread."""
        try:
            self._in_loop(lambda: self._call(notices))
        except RuntimeError:
            logger.debug("nobody is told of %d notifications: the event loop has ended", len(notices))

    def _call(self, notices: Sequence[tuple[str, str]]) -> None:
        if not self._listener.has(self):  # left meanwhile
            return
        for channel, payload in notices:
            try:
                self._heard(channel, payload)
            except Exception:
                logger.exception("the callback for notifications on %r failed", channel)


class Listener:
    """The one LISTEN connection of a database, in a thread that starts with the first who listens."""

    def __init__(self, connect: Callable[[], Driver], spread: Callable[[], float] = random.random) -> None:
        self.up: frozenset[str] = frozenset()
        self._connect = connect
        self._spread = spread
        self._lock = Lock()
        self._everyone: list[Listening] = []
        self._thread: Thread | None = None
        self._closed = False
        self._woken, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)

    @asynccontextmanager
    async def listen(self, channels: Sequence[str], heard: Heard) -> AsyncIterator[Listening]:
        """See :meth:`PostgresDatabase.listen`."""
        listening = Listening(self, channels, heard)
        with self._lock:
            if self._closed:
                raise DatabaseClosed(f"nobody can listen to {', '.join(channels)}: the database is closed", channels[0])
            self._everyone.append(listening)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="postgres-listen", daemon=True)
                self._thread.start()
        self._wake()
        try:
            yield listening
        finally:
            with self._lock:
                self._everyone.remove(listening)
            self._wake()

    def has(self, listening: Listening) -> bool:
        """Whether it still listens."""
        return listening in self._everyone

    def close(self) -> None:
        """End the thread; at most the URL's connect_timeout later."""
        with self._lock:
            self._closed = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
        self._woken.close()
        self._wakes.close()

    def _wake(self) -> None:
        with suppress(BlockingIOError, OSError):  # full of wake-ups already, or closed
            self._wakes.send(b"!")

    def _run(self) -> None:
        wait = FIRST_WAIT
        while not self._closed:
            connection: Driver | None = None
            try:
                connection = self._connect()
                connection.autocommit = True
                for _ in self._rounds(connection):
                    wait = FIRST_WAIT
            except (SqlError, psycopg.Error) as error:
                logger.warning("no notifications for now, pollers poll faster: %s", error)
            finally:
                lost, self.up = self.up, frozenset()
                if connection is not None:
                    connection.close()
            if not self._closed:
                self._tell([(channel, "") for channel in lost])
                self._pause(wait * (0.5 + self._spread()))
                wait = min(2 * wait, LONGEST_WAIT)

    def _rounds(self, connection: Driver) -> Iterator[None]:
        watch = select.poll()
        watch.register(self._woken, select.POLLIN)
        watch.register(connection.pgconn.socket, select.POLLIN)
        while not self._closed:
            self._follow(connection)
            notices = [(notice.channel, notice.payload) for notice in connection.notifies(timeout=0)]
            self._tell(notices)
            yield
            if not notices and (self._woken.fileno(), select.POLLIN) in watch.poll():
                self._woken.recv(4096)

    def _follow(self, connection: Driver) -> None:
        with self._lock:
            wanted = {channel for listening in self._everyone for channel in listening.channels}
        for channel in self.up - wanted:
            connection.execute(f"UNLISTEN {quoted(channel)}".encode())
        new = wanted - self.up
        for channel in new:
            connection.execute(f"LISTEN {quoted(channel)}".encode())
        self.up = frozenset(wanted)
        self._tell([(channel, "") for channel in new])

    def _tell(self, notices: Sequence[tuple[str, str]]) -> None:
        if not notices:
            return
        with self._lock:
            everyone = list(self._everyone)
        for listening in everyone:
            mine = [notice for notice in notices if notice[0] in listening.channels]
            if mine:
                listening.tell(mine)

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._closed and (left := deadline - time.monotonic()) > 0:
            watch = select.poll()
            watch.register(self._woken, select.POLLIN)
            if watch.poll(left * 1000):
                self._woken.recv(4096)


def _in_loop() -> Callable[[Callable[[], object]], object]:
    """How another thread gets a callable into the running event loop."""
    trio = sys.modules.get("trio")  # whoever runs on trio has imported it
    if trio is not None and trio.lowlevel.in_trio_run():
        run_soon: Callable[[Callable[[], object]], object] = trio.lowlevel.current_trio_token().run_sync_soon
        return run_soon
    import asyncio

    return asyncio.get_running_loop().call_soon_threadsafe
