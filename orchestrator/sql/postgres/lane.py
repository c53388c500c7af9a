"""A lane: one connection whose statements are awaited in the event loop itself.

A unit of work on the pool needs a thread, and with it a hop there and back and the interpreter's lock for every answer
of the server. Where one statement is all there is to do, and it is done thousands of times a second, that costs as much
as the statement.
"""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
from anyio import CapacityLimiter, to_thread
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from longrun.backend import running_asyncio
from orchestrator.sql.errors import ConnectionLost, DatabaseClosed
from orchestrator.sql.postgres.errors import from_committing, makes_useless, translated
from orchestrator.sql.postgres.pool import OLDEST, Driver, has_news

if TYPE_CHECKING:
    import asyncio

_PLACE = re.compile(r"%(?:\((\w+)\)s|%)")
#: What psycopg says at each BEGIN of a unit of work; whatever the server or the role prefers.
_SETTINGS = "SET default_transaction_isolation = 'read committed'"

_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


class Lane:
    """Statements one after another, each a transaction of its own, on a connection that is opened when it is needed.

    *settings*: statements that prepare a session. *where*: how errors name the database.
    """

    def __init__(self, connect: Callable[[], Driver], where: str, settings: str) -> None:
        self._connect = connect
        self._where = where
        self._settings = settings
        self._one = CapacityLimiter(1)
        self._session: _Session | None = None
        self._opened = 0.0
        self._begun = False
        self._closed = False

    async def fetch(self, statement: str, values: Mapping[str, str | None]) -> list[tuple[Any, ...]]:
        """Execute *statement*, prepared once per connection, and fetch all its rows. Not while another one is at it.

        Its parameters are written ``%(name)s``, with a cast where the place itself does not say the type; *values* are
        texts as the server reads them.

        Raises SqlError; ConnectionLost with ``outcome_unknown`` when the connection broke under the statement.
        Cancelled, it closes the connection, and nobody knows what became of the statement: shield it.
        """
        session = await self._ready()
        with self._trouble(session):
            await session.send(*_numbered(statement), values)
            return await session.rows()

    async def send(self, statement: str, values: Mapping[str, str | None]) -> None:
        """The first half of :meth:`fetch`, in a :meth:`transaction`: the server goes to work, and we may, too."""
        assert self._session is not None, "in a transaction"
        with self._trouble(self._session):
            await self._session.send(*_numbered(statement), values)

    async def rows(self) -> list[tuple[Any, ...]]:
        """The other half of it."""
        assert self._session is not None, "in a transaction"
        with self._trouble(self._session):
            return await self._session.rows()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """The statements in the block are one transaction: committed behind it, rolled back when it raises."""
        session = await self._ready()
        with self._trouble(session):
            await session.command(b"BEGIN")
        self._begun = True
        try:
            yield
        except BaseException:
            session.close()  # which rolls back, wherever the statement stands
            raise
        finally:
            self._begun = False
        with self._trouble(session):  # of this very session: on a new one there is nothing to be committed
            await session.command(b"COMMIT")

    def close(self) -> None:
        """Close the connection; the lane is of no use any more. From any thread, while no statement is under way."""
        self._closed = True
        if self._session is not None:
            self._session.close()
            self._session = None

    @contextmanager
    def _trouble(self, session: "_Session") -> Iterator[None]:
        with translated(self._where):
            try:
                yield
            except BaseException as error:
                if not isinstance(error, psycopg.Error) or makes_useless(error):
                    session.close()  # it was left in the middle of a statement, or would say the same for ever
                elif not self._begun and isinstance(lost := from_committing(error, self._where), ConnectionLost):
                    raise lost from error  # the end of a statement is its commit
                raise

    async def _ready(self) -> "_Session":
        if self._closed:
            raise DatabaseClosed(f"{self._where} is closed; use it inside its 'async with' block only", self._where)
        session = self._session
        if session is not None and (session.is_broken or time.monotonic() - self._opened >= OLDEST):
            session.close()
            session = None
        if session is None:
            session = self._session = await to_thread.run_sync(self._open, limiter=self._one)
            self._opened = time.monotonic()
        return session

    def _open(self) -> "_Session":
        driver = self._connect()
        try:
            with translated(self._where):
                driver.autocommit = True
                driver.execute(f"{_SETTINGS}; {self._settings}".encode())
        except BaseException:
            driver.close()
            raise
        return _Session(driver)


class _Session:
    """The connection of *driver*, through libpq's calls that do not wait."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._pgconn = driver.pgconn
        self._pgconn.nonblocking = 1
        self._names: dict[bytes, bytes] = {}
        self._readable: Callable[[int], Awaitable[None]] | None = None

    @property
    def is_broken(self) -> bool:
        """Whether it would fail a statement that did no wrong."""
        return self._driver.closed or has_news(self._driver)

    async def send(self, statement: bytes, names: tuple[str, ...], values: Mapping[str, str | None]) -> None:
        name = self._names.get(statement)
        if name is None:
            name = b"lane_%d" % len(self._names)
            self._pgconn.send_prepare(name, statement)
            await self._result()
            self._names[statement] = name
        given = [values[each] for each in names]
        self._pgconn.send_query_prepared(name, [None if value is None else value.encode() for value in given])
        while self._pgconn.flush():  # the server takes a whole statement before it answers
            await anyio.wait_writable(self._pgconn.socket)

    async def command(self, text: bytes) -> None:
        self._pgconn.send_query(text)
        await self._result()

    async def rows(self) -> list[tuple[Any, ...]]:
        result = await self._result()
        if not result.ntuples:
            return []
        loads = Transformer(self._driver)
        loads.set_pgresult(result)
        return loads.load_rows(0, result.ntuples, tuple)

    async def _result(self) -> PGresult:
        pgconn = self._pgconn
        while pgconn.flush():
            await anyio.wait_writable(pgconn.socket)
        if self._readable is None:
            self._readable = _readable()
        while pgconn.is_busy():
            await self._readable(pgconn.socket)
            pgconn.consume_input()
        found = result = pgconn.get_result()
        while result is not None:  # there is one, and then the end of it
            result = pgconn.get_result()
        assert found is not None, "a statement was sent"
        if found.status not in _GOOD:
            raise psycopg.errors.error_from_result(found)
        return found

    def close(self) -> None:
        self._driver.close()


@lru_cache(maxsize=256)
def _numbered(statement: str) -> tuple[bytes, tuple[str, ...]]:
    """*statement* as the server takes it, and the names of its parameters in the order of their numbers."""
    numbers: dict[str, int] = {}

    def place(found: "re.Match[str]") -> str:
        return "%" if found[1] is None else f"${numbers.setdefault(found[1], len(numbers) + 1)}"

    return _PLACE.sub(place, statement).encode(), tuple(numbers)


def _readable() -> Callable[[int], Awaitable[None]]:
    """How to wait until there is something to read; anyio's own way takes asyncio a turn more."""
    loop = running_asyncio()
    if loop is None:
        return anyio.wait_readable

    async def readable(socket: int) -> None:
        ready = loop.create_future()
        loop.add_reader(socket, _wake, ready)
        try:
            await ready
        finally:
            loop.remove_reader(socket)

    return readable


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
