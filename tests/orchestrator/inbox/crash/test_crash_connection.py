"""A connection that breaks at the worst moment, and a server that forgets what it was told."""

import logging
import os
import signal

import anyio
import psycopg
import pytest

from orchestrator.inbox import Handlers, Inbox, Intent, Poller, State
from orchestrator.sql import ConnectionLost, SqlError
from tests.orchestrator.inbox.crash.cutting import CutWay
from tests.orchestrator.inbox.crash.effects import FORGETFUL

pytestmark = pytest.mark.anyio

MOMENTS = ["before the server hears", "before the answer"]


@pytest.fixture
def way(postgres_url):
    """A way to the database that breaks when it is told to."""
    made = CutWay(postgres_url)
    yield made
    made.close()


@pytest.mark.parametrize("moment", MOMENTS)
async def test_who_submits_is_told_that_it_may_be_stored_and_repeats_it_with_its_key(way, moment):
    """Whichever it was, there is one run then."""
    async with Inbox.open(way.url) as inbox:
        way.cut(b"needle", moment=moment)

        with pytest.raises(ConnectionLost, match="whether the transaction was stored is unknown") as caught:
            await inbox.submit("cut.v1", "needle", idempotency_key="k")
        again = await inbox.submit("cut.v1", "needle", idempotency_key="k")

        assert (way.cuts, caught.value.outcome_unknown) == (1, True)
        assert again.existed is (moment == "before the answer")
        assert [run.id for run in (await inbox.list()).runs] == [again]


@pytest.mark.parametrize("moment", MOMENTS)
async def test_the_same_of_many_at_once(way, moment):
    """All of them, or none; the connection breaks under the commit of the transaction that stores them."""
    intents = [Intent("cut.v1", f"needle {n}", idempotency_key=f"k{n}") for n in range(20)]
    async with Inbox.open(way.url) as inbox:
        way.cut(b"needle", b"COMMIT", moment=moment)

        with pytest.raises(ConnectionLost) as caught:
            await inbox.submit_many(intents)
        again = await inbox.submit_many(intents)

        assert (way.cuts, caught.value.outcome_unknown) == (1, True)
        assert {each.existed for each in again} == {moment == "before the answer"}
        assert sorted(run.id for run in (await inbox.list()).runs) == sorted(again)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_the_same_of_very_many_at_once(way, moment):
    """They take several statements; the connection breaks under the commit."""
    intents = [Intent("cut.v1", f"needle {n}") for n in range(1300)]
    async with Inbox.open(way.url) as inbox:
        way.cut(b"needle 1299", b"COMMIT", moment=moment)

        with pytest.raises(ConnectionLost) as caught:
            await inbox.submit_many(intents)

        assert (way.cuts, caught.value.outcome_unknown) == (1, True)
        stored = 1300 if moment == "before the answer" else 0
        assert (await inbox.stats()).counts.get(("cut.v1", State.PENDING), 0) == stored


async def test_a_connection_that_breaks_before_the_commit_has_stored_nothing_and_says_so(way):
    """There is nothing unknown about it."""
    async with Inbox.open(way.url) as inbox:
        way.cut(b"needle", moment="before the answer")

        with pytest.raises(ConnectionLost, match="nothing of this transaction was stored") as caught:
            await inbox.submit_many([Intent("cut.v1", "needle"), *(Intent("cut.v1", "hay") for _ in range(1300))])

        assert not caught.value.outcome_unknown
        assert (await inbox.list()).runs == []


async def test_those_who_share_a_statement_are_all_told(way):
    """Each of them repeats its own."""
    outcomes = []
    async with Inbox.open(way.url) as inbox:

        async def submit(number):
            try:
                await inbox.submit("cut.v1", f"needle {number}", idempotency_key=f"k{number}")
                outcomes.append("stored")
            except ConnectionLost as error:
                outcomes.append("unknown" if error.outcome_unknown else "lost")
                await inbox.submit("cut.v1", f"needle {number}", idempotency_key=f"k{number}")

        way.cut(b"needle 7", moment="before the answer")
        async with anyio.create_task_group() as tg:
            for number in range(10):
                tg.start_soon(submit, number)

        assert "unknown" in outcomes
        assert "lost" not in outcomes
        keys = [run.idempotency_key for run in (await inbox.list()).runs]
        assert sorted(keys) == sorted(f"k{number}" for number in range(10))


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_outcome_whose_commit_is_cut_is_stored_once_and_its_handler_works_once(
    way, postgres_url, moment, caplog
):
    """The worker sends it again; when it was stored the first time, the second one changes nothing."""
    caplog.set_level(logging.INFO)
    calls = []

    async def work(run):
        calls.append(run.payload)
        way.cut(b"needle", moment=moment)
        return "needle"

    async with Inbox.open(way.url) as inbox, Inbox.open(postgres_url) as straight:
        run_id = await straight.submit("cut.v1", 1)
        with anyio.fail_after(20):
            await Poller(inbox, Handlers().add("cut.v1", work)).poll()
        run = await straight.get(run_id)
        history = [event.type for event in await straight.events(run_id)]

    assert (run.state, run.fence, calls, way.cuts) == (State.SUCCEEDED, 1, [1], 1)
    assert history == ["created", "leased", "started", "succeeded"]
    assert "intent.outcome_refused" not in caplog.text
    # A round that has more to do than to settle takes several statements, and is stored by none of them alone.
    unknown = "whether the transaction was stored is unknown" in caplog.text
    assert ("intent.outcome_known" in caplog.text) is (unknown and moment == "before the answer")


async def test_a_claim_whose_commit_is_cut_is_found_after_its_lease(way, postgres_url):
    """The worker does not know of it; it costs the run an attempt and nothing else."""
    calls = []

    async def work(run):
        calls.append(run.attempt)
        poller.stop()

    async with Inbox.open(way.url) as inbox, Inbox.open(postgres_url) as straight:
        run_id = await straight.submit("cut.v1", 1)
        poller = Poller(inbox, Handlers().add("cut.v1", work), lease=0.5, poll_interval=0.1)
        way.cut(b"workflow_registry", b"COMMIT", moment="before the answer")
        with anyio.fail_after(20):
            await poller.run()
        run = await straight.get(run_id)

    assert (run.state, run.attempt, run.fence, run.claims, calls) == (State.SUCCEEDED, 1, 2, 2, [2])


async def test_a_claim_that_the_server_forgot_in_a_crash_is_not_run_twice_at_once_by_its_worker(postgres_server):
    """Claims are not waited for; the worker that is at work on one claims it again, and goes on. It counts once."""
    server = postgres_server(settings=FORGETFUL)
    running, most, calls = 0, {}, 0
    began, goes_on, two = anyio.Event(), anyio.Event(), anyio.Event()

    async def work(run):
        nonlocal calls, running
        calls, running = calls + 1, running + 1
        most[run.payload] = max(most.get(run.payload, 0), running)
        began.set()
        await goes_on.wait()
        if most.get("after") == 2:
            two.set()
        if run.payload == "after":
            await two.wait()
        running -= 1

    async with Inbox.open(server.url()) as inbox:
        (writer,) = await inbox.database.read(
            lambda c: c.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'").fetchone()
        )
        os.kill(writer, signal.SIGSTOP)  # or it might bring the claim to the disk in the last moment
        handlers = Handlers().add("cut.v1", work, concurrency=2)
        poller = Poller(inbox, handlers, poll_interval=0.05, lease=60)
        async with anyio.create_task_group() as tg:
            with anyio.fail_after(30):
                tg.start_soon(poller.run)
                run_id = await inbox.submit("cut.v1", "forgotten")
                await began.wait()
                os.kill(writer, signal.SIGKILL)  # all of the server go down with it, and come back by themselves
                down, forgotten = False, None
                while forgotten is None or not down:
                    try:
                        forgotten = (await inbox.get(run_id)).state
                    except SqlError:
                        down, forgotten = True, None
                while (await inbox.get(run_id)).state is not State.LEASED:
                    pass
                claimed = poller.statistics.cycles
                while poller.statistics.cycles < claimed + 3:  # long enough for a second handler to begin
                    await inbox.get(run_id)
                goes_on.set()
                while (await inbox.get(run_id)).state is not State.SUCCEEDED:
                    pass
                await inbox.submit_many([Intent("cut.v1", "after"), Intent("cut.v1", "after")])
                await two.wait()
                poller.stop()
        run = await inbox.get(run_id)

    assert forgotten is State.PENDING
    assert (most, calls) == ({"forgotten": 1, "after": 2}, 3)
    assert (run.fence, run.claims, run.attempt) == (1, 1, 0)


@pytest.mark.parametrize("long", [False, True], ids=["for a moment", "for longer than two leases"])
async def test_a_run_whose_row_somebody_has_locked_keeps_no_other_outcome_waiting(postgres_url, caplog, long):
    """Its own waits for the lock; after two leases it is given up, and the run is done again."""
    calls, goes_on = [], anyio.Event()

    async def work(run):
        calls.append(run.payload)
        await goes_on.wait()

    async with Inbox.open(f"{postgres_url}?options=-c%20statement_timeout%3D100") as inbox:
        with psycopg.connect(postgres_url) as holder:
            locked, other = await inbox.submit_many([Intent("cut.v1", "locked"), Intent("cut.v1", "other")])
            poller = Poller(inbox, Handlers().add("cut.v1", work), lease=0.8 if long else 30)
            async with anyio.create_task_group() as tg:
                with anyio.fail_after(40):
                    tg.start_soon(poller.run)
                    while len(calls) < 2:
                        await inbox.get(locked)
                    holder.execute("SELECT FROM workflow.workflow_run WHERE id = %s FOR UPDATE", [locked])
                    goes_on.set()
                    while (await inbox.get(other)).state is not State.SUCCEEDED:
                        pass
                    assert (await inbox.get(locked)).state is State.LEASED
                    while long and "intent.outcome_lost" not in caplog.text:
                        await inbox.get(locked)
                    holder.rollback()
                    while not long and (await inbox.get(locked)).state is not State.SUCCEEDED:
                        pass
                    poller.stop()
            await Poller(inbox, Handlers().add("cut.v1", work)).poll()
            runs = [await inbox.get(run_id) for run_id in (locked, other)]

    assert sorted(calls) == (["locked", "locked", "other"] if long else ["locked", "other"])
    assert [(run.state, run.fence) for run in runs] == [(State.SUCCEEDED, 1 + long), (State.SUCCEEDED, 1)]
    assert ("intent.outcome_lost" in caplog.text) is long
