"""procrastinate over psycopg: *concurrency* jobs at a time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.inbox.system import Client, Go
from benchmarks.inbox.tally import Tally
from benchmarks.missing import NotHere

try:
    from procrastinate import App, PsycopgConnector
except ModuleNotFoundError as error:
    raise NotHere("procrastinate is not installed") from error


class Peer:
    """Finished jobs are kept, as ours are."""

    left = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"

    def __init__(self, url: str, concurrency: int = 10) -> None:
        self._concurrency = concurrency
        self._app = App(connector=PsycopgConnector(conninfo=url, min_size=4, max_size=max(10, concurrency + 4)))
        self._tally: Tally | None = None

        @self._app.task(queue="q", name="noop")
        async def noop(i: int) -> None:  # noqa: ARG001 - the job's argument
            if self._tally is not None:
                self._tally.hit()

        self._noop: Any = noop

    async def install(self) -> None:
        async with self._app.open_async():
            await self._app.schema_manager.apply_schema_async()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with self._app.open_async():
            yield _Client(self._noop)

    async def work(self, tally: Tally, go: Go) -> None:
        self._tally = tally
        async with self._app.open_async():
            await go()
            await self._app.run_worker_async(
                queues=["q"], concurrency=self._concurrency, wait=True, install_signal_handlers=False
            )


class _Client:
    def __init__(self, noop: Any) -> None:
        self._noop = noop

    async def submit(self) -> None:
        await self._noop.defer_async(i=1)

    async def submit_many(self, count: int) -> None:
        await self._noop.batch_defer_async(*({"i": number} for number in range(count)))
