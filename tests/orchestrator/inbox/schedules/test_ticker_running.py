"""The ticker that runs for ever: when it looks, when it sleeps, and what it does about errors."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
import pytest

from orchestrator.inbox.schedules.ticker import Ticker
from orchestrator.inbox.tables import Tables
from orchestrator.sql import DatabaseBusy, MigrationFailed, SqlError

pytestmark = pytest.mark.anyio


class Counted:
    """A database that counts what it is asked."""

    def __init__(self, database) -> None:
        self.database = database
        self.reads = self.transactions = 0

    async def read(self, work: Callable[[object], object]) -> object:
        self.reads += 1
        return await self.database.read(work)

    async def transaction(self, work: Callable[[object], object]) -> object:
        self.transactions += 1
        return await self.database.transaction(work)


async def test_an_idle_ticker_reads_once_in_an_interval(inbox, anyio_backend):
    """And asks nobody in between; what is made or resumed here is known at once."""
    await inbox.schedules.create("a.v1", cron="@yearly")
    counted = Counted(inbox.database)
    inbox.schedules.tables = Tables(counted, inbox.store.steps)
    ticker = Ticker(inbox)

    asked = [ticker.due()]
    await ticker.tick()
    asked.append(ticker.due())
    reads, transactions = counted.reads, counted.transactions
    paused = await inbox.schedules.create("b.v1", cron="@yearly")
    asked.append(ticker.due())
    await ticker.tick()
    await inbox.schedules.pause(paused)
    asked.append(ticker.due())
    await inbox.schedules.resume(paused)
    asked.append(ticker.due())

    assert (reads, transactions) == (1, 0)
    assert asked == [True, False, True, False, True]


async def test_a_tick_rings_for_the_pollers(inbox, clock):
    """They run what was scheduled at once."""
    await inbox.schedules.create("a.v1", cron="* * * * *")
    rings = inbox.bell.rings

    await Ticker(inbox).tick()
    idle = inbox.bell.rings
    clock.advance(minutes=1)
    await Ticker(inbox).tick()

    assert (idle, inbox.bell.rings) == (rings, rings + 1)


async def test_a_running_ticker_wakes_for_a_new_schedule_and_stops_when_told(inbox, clock):
    """Its sleep of an hour does not matter."""
    ticker = Ticker(inbox, interval=3600)
    known = inbox.bell.rings

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tg:
            tg.start_soon(ticker.run)
            await anyio.wait_all_tasks_blocked()
            schedule_id = await inbox.schedules.create("a.v1", cron="* * * * *")
            clock.advance(minutes=1)
            await inbox.schedules.resume(schedule_id)
            await inbox.bell.wait(known)
            ticker.stop()

    assert len((await inbox.list()).runs) == 1


async def test_a_running_ticker_sleeps_until_the_next_fire(each_inbox, make_due):
    """Not until the end of its interval."""
    known = each_inbox.bell.rings
    await each_inbox.schedules.create("a.v1", cron="* * * * *")
    await make_due(each_inbox, at=datetime.now(UTC) + timedelta(seconds=0.3))
    ticker = Ticker(each_inbox, interval=3600)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tg:
            tg.start_soon(ticker.run)
            await each_inbox.bell.wait(known)
            ticker.stop()

    assert len((await each_inbox.list()).runs) == 1


async def test_a_running_ticker_waits_out_what_passes_and_raises_what_does_not(inbox, clock, monkeypatch, caplog):
    """A busy database is tried again; tables that are missing are for people."""
    await inbox.schedules.create("a.v1", cron="* * * * *")
    clock.advance(minutes=1)
    known, ticker, store = inbox.bell.rings, Ticker(inbox), inbox.schedules.store
    next_in, failures = store.next_in, [DatabaseBusy("the file is locked", "state.db")]
    monkeypatch.setattr(store, "next_in", lambda connection: _raise(failures) if failures else next_in(connection))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tg:
            tg.start_soon(ticker.run)
            while failures:
                await anyio.lowlevel.checkpoint()
            inbox.schedules.bell.ring()  # it need not wait for its two seconds here
            await inbox.bell.wait(known)
            ticker.stop()
    failures.append(MigrationFailed("state.db", "inbox", 4, "no"))
    with pytest.raises(MigrationFailed):
        await Ticker(inbox).run()

    assert "inbox.tick_failed: the file is locked; again in 2 s" in caplog.text


def _raise(errors: list[SqlError]) -> None:
    raise errors.pop()
