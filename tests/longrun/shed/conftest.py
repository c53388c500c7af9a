"""Named limits of one test do not reach the next; a service with a capacity, to shed load from."""

from collections.abc import Iterator

import anyio
import pytest

from longrun.testing import isolated


@pytest.fixture(autouse=True)
def own_names() -> Iterator[None]:
    """Every name is new in every test."""
    with isolated():
        yield


class Server:
    """Serves *capacity* calls at once, each for *takes* seconds; the others queue, first come first served."""

    def __init__(self, capacity: int, takes: float) -> None:
        self._slots = anyio.Semaphore(capacity)
        self.takes = takes
        self.served = 0

    async def __call__(self) -> str:
        async with self._slots:
            await anyio.sleep(self.takes)
        self.served += 1
        return "served"


@pytest.fixture
def server() -> type[Server]:
    """The service, to be built with a capacity and a duration inside the event loop."""
    return Server
