"""The worker on a real PostgreSQL server: what it hears, and what it shares with others."""

from contextlib import AsyncExitStack

import anyio
import anyio.lowlevel
import psycopg
import pytest

from orchestrator.contracts import ServicePressure
from orchestrator.inbox import Handlers, Inbox, Intent, Poller, State
from orchestrator.inbox.store.records import ClaimRequest
from tests.loops import LOOPS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    """Every event loop that there is."""
    return request.param


def listens(poller):
    """Whether it would hear of a notification."""
    listening = poller._engine and poller._engine.agenda.news._listening
    return listening and listening.up


async def test_a_poller_hears_at_once_of_what_others_submit_and_cancel(postgres_url):
    """By a notification: it would look again in a quarter of an hour."""
    began, ended = anyio.Event(), anyio.Event()

    async def work(run):
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with Inbox.open(postgres_url) as inbox, Inbox.open(postgres_url) as elsewhere:
        poller = Poller(inbox, Handlers().add("mail.v1", work), lease=1000, poll_interval=1000)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tg:
                tg.start_soon(poller.run)
                while not listens(poller):
                    await anyio.lowlevel.checkpoint()
                run_id = await elsewhere.submit("mail.v1", 1)
                await began.wait()
                await elsewhere.cancel(run_id)
                await ended.wait()
                poller.stop()
        run = await inbox.get(run_id)

    assert run.state is State.CANCELLED


async def test_workers_of_several_pools_stay_within_a_total_and_do_everything(postgres_url):
    """Room that one of them makes is told to the others."""
    running, most, done = 0, 0, []
    everything = anyio.Event()

    async def work(run):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.002)
        running -= 1
        done.append(run.payload)
        if len(done) == 40:
            everything.set()

    async with Inbox.open(postgres_url) as inbox, Inbox.open(postgres_url) as elsewhere:
        await inbox.submit_many([Intent("mail.v1", number) for number in range(40)])
        pollers = [
            Poller(each, Handlers().add("mail.v1", work, total=2), worker_id=name)
            for each, name in ((inbox, "a"), (elsewhere, "b"))
        ]
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tg:
                for poller in pollers:
                    tg.start_soon(poller.run)
                await everything.wait()
                for poller in pollers:
                    poller.stop()

    assert sorted(done) == list(range(40))
    assert most == 2


async def test_eight_workers_on_one_total_take_all_its_places_and_leave_none_waiting(postgres_url):
    """Each is left out now and then because another one claims; none of them waits for its next look by the clock."""
    at_work, most, done = set(), 0, anyio.Event()
    all_at_work = anyio.Event()
    finished = 0

    async def work(run):
        nonlocal most, all_at_work, finished
        gate = all_at_work
        at_work.add(run.id)
        most = max(most, len(at_work))
        if len(at_work) == 8:
            gate.set()
        await gate.wait()  # nobody ends before all places are taken
        at_work.discard(run.id)
        if not at_work:
            all_at_work = anyio.Event()
        finished += 1
        if finished == 80:
            done.set()

    async with AsyncExitStack() as stack:
        inboxes = [await stack.enter_async_context(Inbox.open(postgres_url)) for _ in range(8)]
        pollers = [
            Poller(each, Handlers().add("mail.v1", work, total=8, concurrency=1), poll_interval=1000)
            for each in inboxes
        ]
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tg:
                for poller in pollers:
                    tg.start_soon(poller.run)
                await inboxes[0].submit_many([Intent("mail.v1", number) for number in range(80)])
                await done.wait()
                for poller in pollers:
                    poller.stop()

    assert most == 8


async def test_what_a_frozen_worker_claims_of_is_claimed_as_soon_as_it_is_gone(postgres_url):
    """Until then everything else goes on."""
    done = {"mail.v1": anyio.Event(), "other.v1": anyio.Event()}

    async def work(run):
        done[run.type].set()

    handlers = Handlers().add("mail.v1", work, total=2).add("other.v1", work, total=2)
    async with Inbox.open(postgres_url) as inbox:
        await inbox.submit_many([Intent("mail.v1", 1), Intent("mail.v1", 2)])
        poller = Poller(inbox, handlers, poll_interval=1000)
        with anyio.fail_after(20), psycopg.connect(postgres_url) as frozen:
            inbox.store.claim(frozen, ClaimRequest("frozen", ["mail.v1"], 1, 30.0, totals={"mail.v1": 2}))
            async with anyio.create_task_group() as tg:
                tg.start_soon(poller.run)
                await inbox.submit("other.v1", 1)
                await done["other.v1"].wait()
                looks = poller.statistics.cycles
                while poller.statistics.cycles < looks + 3:
                    await anyio.lowlevel.checkpoint()
                assert not done["mail.v1"].is_set()
                frozen.close()
                await done["mail.v1"].wait()
                poller.stop()

    assert poller.statistics.errors == {}


async def test_a_run_whose_row_somebody_has_locked_keeps_its_worker_from_nothing_else(postgres_url):
    """Its outcome is stored when the row is free; others are claimed, run and settled meanwhile."""
    began, goes_on, done = anyio.Event(), anyio.Event(), anyio.Event()

    async def work(run):
        if run.payload == "other":
            done.set()
        else:
            began.set()
            await goes_on.wait()

    async with Inbox.open(postgres_url) as inbox:
        poller = Poller(inbox, Handlers().add("mail.v1", work), poll_interval=1000)
        with anyio.fail_after(25), psycopg.connect(postgres_url) as somebody:
            async with anyio.create_task_group() as tg:
                tg.start_soon(poller.run)
                locked = await inbox.submit("mail.v1", "locked")
                await began.wait()
                somebody.execute("SELECT FROM workflow.workflow_run WHERE id = %s FOR UPDATE", [locked])
                goes_on.set()
                waits = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                while not somebody.execute(waits).fetchall():
                    await anyio.lowlevel.checkpoint()
                    somebody.execute("SELECT pg_stat_clear_snapshot()")
                other = await inbox.submit("mail.v1", "other")
                await done.wait()
                while (await inbox.get(other)).state is not State.SUCCEEDED:
                    pass
                state = (await inbox.get(locked)).state
                somebody.rollback()
                while (await inbox.get(locked)).state is not State.SUCCEEDED:
                    pass
                poller.stop()

    assert state is State.LEASED


async def test_runs_that_were_claimed_too_often_keep_none_of_their_type_waiting(postgres_url):
    """They are failed in the place of those that could be claimed, which nobody else asks for."""
    done = {"first": anyio.Event(), "last": anyio.Event()}

    async def work(run):
        done[run.payload].set()

    def submit(connection):
        intents = [Intent("mail.v1", "killer"), Intent("mail.v1", "killer"), Intent("mail.v1", "last", priority=200)]
        inbox.submit_many_in(connection, intents)
        connection.execute("UPDATE workflow_run SET claims = 99 WHERE payload = '\"killer\"'")

    async with Inbox.open(postgres_url) as inbox:
        poller = Poller(inbox, Handlers().add("mail.v1", work, concurrency=1), poll_interval=1000)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tg:
                tg.start_soon(poller.run)
                await inbox.submit("mail.v1", "first")  # the first round does more than a claim
                await done["first"].wait()
                await inbox.database.transaction(submit)
                await done["last"].wait()
                poller.stop()
        failed = await inbox.list(state=State.FAILED)

    assert len(failed.runs) == 2


async def test_a_checkpoint_of_a_run_is_kept_in_the_database(postgres_url):
    """Its next attempt finds it, by another worker as well."""
    found = []

    async def work(run):
        found.append(await run.checkpoint.load())
        await run.checkpoint.save({"page": 3})
        if run.attempt == 1:
            raise ServicePressure("calm", retry_after=0.01)

    async with Inbox.open(postgres_url) as inbox:
        run_id = await inbox.submit("mail.v1", 1)
        with anyio.fail_after(20):
            while (await inbox.get(run_id)).state is not State.SUCCEEDED:
                await Poller(inbox, Handlers().add("mail.v1", work)).poll()
        kept = await inbox.database.read(lambda connection: inbox.store.checkpoint(connection, run_id))

    assert (found, kept) == ([None, {"page": 3}], None)


async def test_a_backlog_is_drained_with_few_transactions(postgres_url):
    """Outcomes that come while one is under way go with the next; claims take what is under way beside them."""

    async def work(run):
        pass

    async with Inbox.open(postgres_url) as inbox:
        await inbox.submit_many([Intent("mail.v1", number) for number in range(3000)])
        poller = Poller(inbox, Handlers().add("mail.v1", work))

        assert await poller.poll() == 3000

    assert poller.statistics.cycles <= 3000 / 25
    assert poller.statistics.completed == {("mail.v1", "succeeded"): 3000}
