"""A system: something that stores work and runs it, seen from outside."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias

from benchmarks.inbox.tally import Tally

#: Says that everything before the first claim is done, and waits until the clock runs.
Go: TypeAlias = Callable[[], Awaitable[None]]

#: Intents in one call that stores many.
BULK = 1000

_OPEN: list[object] = []


class Client(Protocol):
    """A producer, connected."""

    async def submit(self) -> None:
        """Store one intent durably; may be called by several tasks at once."""
        ...

    async def submit_many(self, count: int) -> None:
        """Store so many in one call."""
        ...


class System(Protocol):
    """One system on the empty database at a URL. *left*: an SQL query whose value is true while work is left."""

    left: str

    async def install(self) -> None:
        """Make its tables."""
        ...

    def client(self) -> AbstractAsyncContextManager[Client]:
        """A producer."""
        ...

    async def work(self, tally: Tally, go: Go) -> None:
        """Connect, *go*, then run everything that comes with a handler that does nothing but hit the *tally*."""
        ...


async def producer(system: System) -> Client:
    """A producer that nobody closes: the process ends first, and some take very long."""
    manager = system.client()
    _OPEN.append(manager)
    return await manager.__aenter__()


async def fill(system: System, count: int) -> None:
    """Store *count* intents that are due."""
    client = await producer(system)
    for start in range(0, count, BULK):
        await client.submit_many(min(BULK, count - start))
