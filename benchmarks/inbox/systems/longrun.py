"""Our inbox, by its public interface alone."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count as counter

from benchmarks.inbox.system import Client, Go
from benchmarks.inbox.tally import Tally
from orchestrator.contracts import IntentRun
from orchestrator.inbox import Handlers, Inbox, Intent, Poller

KIND = "bench.noop.v1"

LEFT = {
    "postgres": """SELECT EXISTS (SELECT FROM workflow.workflow_run WHERE status = 'leased')
        OR EXISTS (SELECT FROM workflow.workflow_run WHERE status = 'pending')""",
    "sqlite": "SELECT count(*) FROM workflow_run WHERE status IN ('pending', 'leased')",
}


class Longrun:
    """*concurrency* handlers at a time. Intents of so many *tenants*, each with its own type if *types*."""

    def __init__(self, url: str, concurrency: int = 250, tenants: int = 1, types: int = 0) -> None:
        self.left = LEFT["sqlite" if url.startswith("sqlite") else "postgres"]
        self._url = url
        self._concurrency = concurrency
        self._tenants = tenants
        self._types = bool(types)

    async def install(self) -> None:
        async with Inbox.open(self._url):
            pass

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with Inbox.open(self._url, migrate=False) as inbox:
            yield Producer(inbox, self._tenants, self._types)

    async def work(self, tally: Tally, go: Go) -> None:
        async with Inbox.open(self._url, migrate=False) as inbox:
            poller = self.poller(inbox, tally)
            await go()
            await poller.run()

    def poller(self, inbox: Inbox, tally: Tally, told: Callable[[], None] | None = None) -> Poller:
        """One whose handlers hit *tally*, and call *told*."""

        async def noop(_: IntentRun) -> None:
            tally.hit()
            if told is not None:
                told()

        handlers = Handlers()
        for kind in {_kind(tenant, self._types) for tenant in range(self._tenants)}:
            handlers.add(kind, noop)
        return Poller(inbox, handlers, concurrency=self._concurrency)


class Producer:
    """Intents of the tenants in turn."""

    def __init__(self, inbox: Inbox, tenants: int, types: bool) -> None:
        self._inbox = inbox
        self._tenants = tenants
        self._types = types
        self._made = counter()

    async def submit(self) -> None:
        intent = self._next()
        await self._inbox.submit(intent.type, intent.payload)

    async def submit_many(self, count: int) -> None:
        await self._inbox.submit_many([self._next() for _ in range(count)])

    def _next(self) -> Intent:
        number = next(self._made)
        tenant = number % self._tenants
        return Intent(_kind(tenant, self._types), {"i": number, "tenant": f"t{tenant:05d}"})


def _kind(tenant: int, types: bool) -> str:
    return f"bench.t{tenant:05d}.v1" if types else KIND
