"""A worker that is never idle still does what is due."""

import anyio
import pytest

from orchestrator.inbox import Handlers, Inbox, Intent, Poller
from orchestrator.inbox.store.records import Promoted
from orchestrator.inbox.store.sqlite.store import SqliteStore
from tests.orchestrator.inbox.worker.virtual.conftest import InlineDatabase, now

pytestmark = pytest.mark.anyio


async def test_what_others_have_put_off_is_not_kept_waiting_by_a_backlog(inbox, database, poller_of, during):
    """Nobody rings for an intent of another process that is due later; it comes all the same when its time is there."""
    started = {}
    other = Inbox.over(database, now=inbox._now)  # with a bell of its own, as another process has

    async def work(run):
        started[run.payload] = anyio.current_time()
        await anyio.sleep(1)

    await inbox.submit_many([Intent("mail.v1", number) for number in range(300)])
    poller = poller_of(work, concurrency=1)
    async with during(poller):
        await anyio.sleep(5)
        due = anyio.current_time() + 10
        await other.submit("mail.v1", "urgent", priority=1, delay=10)
        await anyio.sleep(60)

    assert due <= started["urgent"] < due + 10


async def test_a_poller_with_a_backlog_is_cancelled_as_any_other(inbox, poller_of):
    """Not when it is idle for the first time."""
    done = []

    async def work(run):
        done.append(run.payload)
        if len(done) == 1000:
            limit.cancel()

    await inbox.submit_many([Intent("mail.v1", number) for number in range(6000)])
    with anyio.CancelScope() as limit:
        await poller_of(work, concurrency=100).run()

    assert limit.cancelled_caught
    assert 1000 <= len(done) < 5000


async def test_rounds_that_claim_nothing_do_not_hide_what_another_process_stored(tmp_path, during):
    """Sweeps come more often than looks at the pulse of the file; they must not take its change for seen."""
    here, there = InlineDatabase(tmp_path / "state.db"), InlineDatabase(tmp_path / "state.db")
    inbox, other = Inbox.over(here, now=now), Inbox.over(there, now=now)
    await inbox.migrate()
    started = []

    async def work(run):
        started.append(anyio.current_time())

    async with during(Poller(inbox, Handlers().add("mail.v1", work), poll_interval=1000)):
        await anyio.sleep(57)
        submitted = anyio.current_time()
        await other.submit("mail.v1", 1)
        await anyio.sleep(60)

    assert [at - submitted < 55 for at in started] == [True]
    for each in (here, there):
        each.connection.close()


class Late(SqliteStore):
    """As a server's while another transaction has *locked* what has become due."""

    locked = True

    def promote(self, connection, limit):
        return Promoted(0, 0.0) if self.locked else super().promote(connection, limit)


async def test_what_has_become_due_and_is_locked_is_asked_for_less_and_less_often(inbox, database, poller_of, during):
    """It may be locked for minutes; all the same it starts within a second when it is free."""
    inbox.store, started = Late(now), []

    async def work(run):
        started.append(anyio.current_time())

    await inbox.submit("mail.v1", 1, delay=1)
    async with during(poller_of(work, poll_interval=1000)):
        await anyio.sleep(60)
        looks, inbox.store.locked, freed = database.transactions, False, anyio.current_time()
        await anyio.sleep(2)

    assert looks < 60 * 5
    assert [freed < at < freed + 1 for at in started] == [True]
