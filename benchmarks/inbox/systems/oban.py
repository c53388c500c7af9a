"""oban-py, the open source edition: *concurrency* jobs at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from benchmarks.inbox.system import Client, Go
from benchmarks.inbox.tally import Tally
from benchmarks.missing import NotHere

try:
    from oban import Oban, worker
    from oban.schema import install
    from psycopg_pool import AsyncConnectionPool
except ModuleNotFoundError as error:
    raise NotHere("oban is not installed; it needs Python 3.12") from error

#: Workers are classes of a module.
_tally: Tally | None = None


@worker(queue="q")
class Noop:
    """The job."""

    async def process(self, _: Any) -> None:
        if _tally is not None:
            _tally.hit()


_noop: Any = Noop  # the decorator gives it its constructor


class Peer:
    """Completed jobs are kept, as ours are."""

    left = "SELECT EXISTS (SELECT FROM oban_jobs WHERE state <> 'completed')"

    def __init__(self, url: str, concurrency: int = 100) -> None:
        self._url = url
        self._concurrency = concurrency

    async def install(self) -> None:
        async with AsyncConnectionPool(self._url, min_size=1, open=False) as pool:
            await install(pool)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with AsyncConnectionPool(self._url, min_size=4, max_size=10, open=False) as pool:
            yield _Client(Oban(pool=pool))

    async def work(self, tally: Tally, go: Go) -> None:
        global _tally
        _tally = tally
        async with AsyncConnectionPool(self._url, min_size=4, max_size=10, open=False) as pool:
            oban = Oban(pool=pool, queues={"q": self._concurrency}, name="bench")
            await go()
            await oban.start()
            await anyio.sleep_forever()


class _Client:
    def __init__(self, oban: Any) -> None:
        self._oban = oban

    async def submit(self) -> None:
        await self._oban.enqueue(_noop.new({"i": 1}))

    async def submit_many(self, count: int) -> None:
        await self._oban.enqueue_many(*[_noop.new({"i": number}) for number in range(count)])
