"""An inbox in virtual time: a SQLite database in the event loop's own thread, whose clock is the event loop's."""

import sqlite3
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from longrun.testing import virtual_backend
from orchestrator.inbox import Handlers, Inbox, Poller
from orchestrator.sql import DatabaseBusy, migrations

EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC)


def now():
    """The event loop's time as a date."""
    return EPOCH + timedelta(seconds=anyio.current_time())


class InlineDatabase:
    """One connection for all; a transaction takes *takes()* seconds, and is refused while it is *down*."""

    dialect = "sqlite"

    def __init__(self, path=":memory:"):
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.takes = lambda: 0.001
        self.down = False
        self.transactions = 0
        self.reads = 0

    async def transaction(self, work):
        await anyio.sleep(self.takes())
        self.transactions += 1
        self._refuse()
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            result = work(self.connection)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return result

    async def read(self, work):
        await anyio.sleep(self.takes())
        self.reads += 1
        self._refuse()
        return work(self.connection)

    async def migrate(self, battery, steps):
        migrations.apply(self.connection, "memory", battery, steps, now)

    def _refuse(self):
        if self.down:
            raise DatabaseBusy("another process holds the write lock", "memory")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Both backends with a clock that jumps."""
    return virtual_backend(request.param)


@pytest.fixture
async def database(anyio_backend):
    made = InlineDatabase()
    yield made
    made.connection.close()


@pytest.fixture
async def inbox(database):
    opened = Inbox.over(database, now=now)
    await opened.migrate()
    return opened


@pytest.fixture
def poller_of(inbox):
    """A poller of *handlers*, or of one for ``mail.v1``."""

    def call(work, **options):
        names = ("timeout", "stall", "concurrency_of_type", "total", "rate", "payload")
        of_type = {name: options.pop(name) for name in names if name in options}
        if "concurrency_of_type" in of_type:
            of_type["concurrency"] = of_type.pop("concurrency_of_type")
        handlers = work if isinstance(work, Handlers) else Handlers().add("mail.v1", work, **of_type)
        return Poller(inbox, handlers, **{"worker_id": "w1", "random": lambda: 0.5, **options})

    return call


@pytest.fixture
def during():
    """Run *poller* while a block goes on; it is stopped at the end of the block."""

    class During:
        def __init__(self, *pollers):
            self._pollers = pollers
            self._group = anyio.create_task_group()

        async def __aenter__(self):
            await self._group.__aenter__()
            for poller in self._pollers:
                self._group.start_soon(poller.run)

        async def __aexit__(self, *error):
            for poller in self._pollers:
                poller.stop()
            return await self._group.__aexit__(*error)

    return During
