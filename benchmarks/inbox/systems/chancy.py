"""chancy with its executor for async jobs, *concurrency* at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from benchmarks.inbox.system import BULK, Client, Go
from benchmarks.inbox.tally import Tally
from benchmarks.missing import NotHere

try:
    from chancy import Chancy, Queue, Worker, job
except ModuleNotFoundError as error:
    raise NotHere("chancy is not installed") from error

#: Jobs are functions of a module.
_tally: Tally | None = None


@job(queue="q")
async def noop(i: int) -> None:  # noqa: ARG001 - the job's argument
    """The job."""
    if _tally is not None:
        _tally.hit()


class Peer:
    """Eager polling: it is quicker so."""

    left = "SELECT EXISTS (SELECT FROM chancy_jobs WHERE state NOT IN ('succeeded', 'failed'))"

    def __init__(self, url: str, concurrency: int = 100) -> None:
        self._url = url
        self._concurrency = concurrency

    async def install(self) -> None:
        async with Chancy(self._url) as chancy:
            await chancy.migrate()
            queue = Queue(
                "q",
                concurrency=self._concurrency,
                executor=Chancy.Executor.Async,
                eager_polling=True,
                polling_interval=1,
            )
            await chancy.declare(queue, upsert=True)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with Chancy(self._url) as chancy:
            yield _Client(chancy)

    async def work(self, tally: Tally, go: Go) -> None:
        global _tally
        _tally = tally
        async with Chancy(self._url) as chancy:
            await go()
            worker = Worker(chancy, register_signal_handlers=False)
            await worker.start()
            await anyio.sleep_forever()


class _Client:
    def __init__(self, chancy: Any) -> None:
        self._chancy = chancy

    async def submit(self) -> None:
        await self._chancy.push(noop.job.with_kwargs(i=1))

    async def submit_many(self, count: int) -> None:
        jobs = [noop.job.with_kwargs(i=number) for number in range(count)]
        async for _ in self._chancy.push_many(jobs, batch_size=BULK):
            pass
