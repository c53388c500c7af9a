"""pgqueuer over asyncpg: jobs are tasks, fetched *batch* at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from benchmarks.inbox.system import Client, Go
from benchmarks.inbox.tally import Tally
from benchmarks.missing import NotHere

try:
    import asyncpg
    from pgqueuer import AsyncpgDriver, AsyncpgPoolDriver, PgQueuer, Queries
except ModuleNotFoundError as error:
    raise NotHere("pgqueuer is not installed") from error

_PAYLOAD = b'{"i": 1, "tenant": "t00000"}'


class Peer:
    """*batch* as large as the worker is best with; its own default is 10."""

    left = "SELECT EXISTS (SELECT FROM pgqueuer)"

    def __init__(self, url: str, batch: int = 500) -> None:
        self._url = url
        self._batch = batch

    async def install(self) -> None:
        connection = await asyncpg.connect(self._url)
        await Queries(AsyncpgDriver(connection)).install()
        await connection.close()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with asyncpg.create_pool(self._url, min_size=1, max_size=16) as pool:
            yield _Client(Queries(AsyncpgPoolDriver(pool)))

    async def work(self, tally: Tally, go: Go) -> None:
        async with asyncpg.create_pool(self._url, min_size=4, max_size=10) as pool:
            queuer = PgQueuer(AsyncpgPoolDriver(pool))

            @queuer.entrypoint("noop")
            async def noop(_: Any) -> None:
                tally.hit()

            await go()
            await asyncio.shield(queuer.run(batch_size=self._batch, dequeue_timeout=timedelta(seconds=30)))


class _Client:
    def __init__(self, queries: Any) -> None:
        self._queries = queries

    async def submit(self) -> None:
        await self._queries.enqueue("noop", _PAYLOAD)

    async def submit_many(self, count: int) -> None:
        await self._queries.enqueue(["noop"] * count, [_PAYLOAD] * count, [0] * count)
