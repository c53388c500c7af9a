"""DBOS Transact: a queued durable workflow without steps, which is more than a job. It has no call that stores many."""

import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import anyio
from anyio import to_thread

from benchmarks.inbox.system import Client, Go
from benchmarks.inbox.tally import Tally
from benchmarks.missing import NotHere

try:
    from dbos import DBOS, DBOSClient
except ModuleNotFoundError as error:
    raise NotHere("dbos is not installed") from error

#: Workflows are functions of a module, and run on threads.
_tally: Tally | None = None
_lock = threading.Lock()


@DBOS.workflow(name="noop")
def noop(i: int) -> None:  # noqa: ARG001 - the workflow's argument
    """The workflow."""
    with _lock:
        if _tally is not None:
            _tally.hit()


class Peer:
    """*threads* run the workflows; the queue is looked at every *poll_ms* (its own default is 1000)."""

    left = "SELECT EXISTS (SELECT FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING'))"

    def __init__(self, url: str, threads: int = 16, poll_ms: int = 50) -> None:
        self._url = url
        self._threads = threads
        self._poll = poll_ms / 1000

    async def install(self) -> None:
        await to_thread.run_sync(self._launch)
        await to_thread.run_sync(DBOS.destroy)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = await to_thread.run_sync(lambda: DBOSClient(system_database_url=self._url))
        with ThreadPoolExecutor(16) as threads:
            yield _Client(client, threads)
        await to_thread.run_sync(client.destroy)

    async def work(self, tally: Tally, go: Go) -> None:
        global _tally
        _tally = tally
        await to_thread.run_sync(self._launch)
        await go()
        await to_thread.run_sync(lambda: DBOS.register_queue("q", polling_interval_sec=self._poll))
        await anyio.sleep_forever()

    def _launch(self) -> None:
        config = {
            "name": "bench",
            "system_database_url": self._url,
            "log_level": "CRITICAL",
            "max_executor_threads": self._threads,
            "sys_db_pool_size": 20,
            "application_version": "1",
        }
        DBOS(config=config)
        DBOS.launch()
        time.sleep(0.1)


class _Client:
    def __init__(self, client: DBOSClient, threads: ThreadPoolExecutor) -> None:
        self._client = client
        self._threads = threads

    async def submit(self) -> None:
        await to_thread.run_sync(self._one, 1)

    async def submit_many(self, count: int) -> None:
        await to_thread.run_sync(lambda: list(self._threads.map(self._one, range(count))))

    def _one(self, number: int) -> None:
        self._client.enqueue({"queue_name": "q", "workflow_name": "noop", "app_version": "1"}, number)
