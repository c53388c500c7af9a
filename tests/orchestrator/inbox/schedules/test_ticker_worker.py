"""The ticker inside a service: a worker of InboxModule."""

import logging
from dataclasses import dataclass, field

import pytest

from orchestrator.inbox import Handlers, InboxModule, Poller
from orchestrator.inbox.schedules.ticker import Ticker

pytestmark = pytest.mark.anyio


@dataclass
class Pass:
    """The run that a worker is given."""

    stopping: bool = False
    progressed: int = 0
    attempt: int = 1
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("test"))

    def progress(self, payload: object = None) -> None:
        self.progressed += 1


async def handle(run: object) -> None:
    """Nothing to do."""


@pytest.fixture
def worker(inbox):
    """The worker that ticks, of a module with a ticker of its own or a given one."""

    def call(*ticker):
        module = InboxModule(inbox, Poller(inbox, Handlers().add("a.v1", handle)), *ticker)
        return {each.task_spec().resource: each.task_spec() for each in module.global_workers()}["inbox-ticker"]

    return call


async def test_the_module_brings_a_ticker(inbox, clock, worker):
    """It fires what is due, and tells that it is alive."""
    await inbox.schedules.create("a.v1", cron="* * * * *")
    clock.advance(minutes=1)
    run = Pass()

    await worker().work(run)

    assert run.progressed == 1
    assert len((await inbox.list()).runs) == 1


async def test_a_ticker_that_is_given_is_used(inbox, clock, worker):
    """With its own settings; a service that stops waits for one batch at most."""
    for _ in range(3):
        await inbox.schedules.create("a.v1", cron="* * * * *")
    clock.advance(minutes=1)

    await worker(Ticker(inbox, batch=1)).work(Pass(stopping=True))

    assert len((await inbox.list()).runs) == 1


async def test_a_ticker_that_was_paused_in_a_tick_fires_again_when_it_is_resumed(inbox, clock, worker):
    """It is asked to stop as by the end of the service, but there is another life before it."""
    for _ in range(3):
        await inbox.schedules.create("a.v1", cron="* * * * *")
    clock.advance(minutes=1)
    ticks = worker(Ticker(inbox, batch=1))
    await ticks.work(Pass(stopping=True))

    inbox.schedules.bell.ring()  # the next look is due
    await ticks.work(Pass())

    assert len((await inbox.list()).runs) == 3
