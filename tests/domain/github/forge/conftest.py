"""A forge with a clock of its own, and a plain HTTP client to look at it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from domain.github.adapters.forge import Forge, World, forge_in_thread


class Clock:
    """Wall-clock time that moves when told."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    """Noon of 1 March 2026, and a quarter of a second."""
    return Clock()


@pytest.fixture
def forge(clock: Clock) -> Forge:
    """The seeded world, no token, no trouble."""
    return Forge(World.seeded(clock=clock))


@pytest.fixture
def client(forge: Forge) -> Iterator[httpx.Client]:
    """A client of *forge*, over a real connection; it needs no certificates, and reading them takes its time."""
    with forge_in_thread(forge) as url, httpx.Client(base_url=url, timeout=5, verify=False) as http:
        yield http
