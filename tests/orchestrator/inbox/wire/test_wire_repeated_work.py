"""Work is not done twice, its end is not undone, and its history is whole."""

import anyio
import pytest

from orchestrator.inbox import Handlers, LeaseLost, Poller, State
from orchestrator.inbox.store.records import ClaimRequest, Failed, Settled, Succeeded
from tests.orchestrator.inbox.wire.conftest import BOTH_BACKENDS

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("late", [Succeeded('"late"'), Failed("late", 60.0), Failed("late", None)])
async def test_a_worker_that_lost_its_lease_cannot_change_what_another_made_of_the_run(place, inbox, poll, late):
    """There, outcomes named the run alone, and a late failure made a run that had succeeded pending again."""
    run_id = await inbox.submit("mail.v1", 1)

    def take(connection):
        return inbox.store.claim(connection, ClaimRequest("slow", ["mail.v1"], 1, 30.0))[0].hold

    hold = await inbox.database.transaction(take)
    place.age(31)

    async def work(run):
        return "ours"

    assert await poll(work) == 1
    before = await inbox.get(run_id)

    assert await inbox.database.transaction(lambda c: inbox.store.settle(c, [Settled(hold, late)])) == {hold}
    assert await inbox.get(run_id) == before
    assert before.state is State.SUCCEEDED


async def test_a_handler_that_lost_its_lease_is_told_so(place, foreign, inbox, poll):
    """There, a heartbeat asked for no owner and swallowed its errors."""
    told = []

    async def work(run):
        place.age(31)
        foreign.claim("theirs", "mail.%")
        try:
            await run.heartbeat()
        except LeaseLost as error:
            told.append(error.run_id)
            raise

    run_id = await inbox.submit("mail.v1", 1)
    await poll(work)

    run = await inbox.get(run_id)
    assert (told, run.state, run.leased_by) == ([run_id], State.LEASED, "theirs")


@pytest.mark.parametrize("ends", ["raises", "returns"])
async def test_a_cancelled_run_stays_cancelled_whatever_its_handler_does(inbox, poll, ends):
    """There, the documented way, to raise an error, made it pending again, and to ignore it made it succeeded."""

    async def work(run):
        await inbox.cancel(run.id)
        if ends == "raises":
            raise RuntimeError("cancelled")
        return "ignored"

    run_id = await inbox.submit("mail.v1", 1)

    await poll(work)

    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.result) == (State.CANCELLED, 0, None)
    assert await poll(work) == 0


@BOTH_BACKENDS
async def test_an_outcome_is_written_once(inbox, poll, caplog):
    """A handler may end while a claim is under way; its outcome goes with the next round, not with both."""

    async def work(run):
        return "done"

    for n in range(5):
        await inbox.submit("mail.v1", n)
        await poll(work)

    assert caplog.messages == []


@BOTH_BACKENDS
async def test_a_job_longer_than_its_lease_is_not_given_to_another(foreign, inbox):
    """There, nobody renewed a lease but the handler by hand, so that long jobs ran twice."""
    seen = []

    async def work(run):
        first = until = (await inbox.get(run.id)).lease_until
        while (until - first).total_seconds() < 1.0:  # a whole lease
            seen.append(foreign.claim("theirs", "mail.%"))
            until = (await inbox.get(run.id)).lease_until
        return "done"

    run_id = await inbox.submit("mail.v1", 1)

    with anyio.fail_after(20):
        await Poller(inbox, Handlers().add("mail.v1", work), lease=1.0).poll()

    # In SQLite their clock has whole seconds, so it sees a lease of one as longer than it is.
    assert set(seen) == {None}
    assert ((await inbox.get(run_id)).state, (await inbox.get(run_id)).claims) == (State.SUCCEEDED, 1)


async def test_every_change_of_a_run_is_in_its_history(place, inbox, poll, history):
    """There, created, succeeded and cancelled were never stored by one client, and others only with luck."""

    async def work(run):
        await run.heartbeat()
        if run.attempt == 1:
            raise ConnectionError("away")

    done, gone = await inbox.submit("mail.v1", 1), await inbox.submit("mail.v1", 2, delay=9999)
    await inbox.cancel(gone)
    await poll(work)
    place.age(70)
    await poll(work)
    await inbox.cancel(await inbox.submit("mail.v1", 3))

    executed = ["leased", "started", "heartbeat"]
    assert await history(done) == ["created", *executed, "retried", *executed, "succeeded"]
    assert await history(gone) == ["created", "cancelled"]
    data = {event.type: event.data for event in await inbox.events(done)}
    assert data["created"] is None
    assert data["leased"] == {"worker_id": "ours", "attempt": 1}
    assert data["started"] == {"worker_id": "ours"}
    assert data["heartbeat"] == {"extended_by_seconds": 30}
    assert data["retried"] == {"attempt": 1, "error": "ConnectionError: away"}
    assert data["succeeded"] is None


@pytest.mark.parametrize("commits", [True, False])
async def test_a_run_and_its_history_are_stored_together_or_not_at_all(foreign, inbox, commits):
    """There, an event was another transaction, and was lost when the run was stored in the caller's."""

    def work(connection):
        run_id = inbox.submit_in(connection, "mail.v1", 1)
        assert foreign.rows("SELECT count(*) FROM workflow_event") == [(0,)]
        if not commits:
            raise LookupError
        return run_id

    try:
        await inbox.database.transaction(work)
    except LookupError:
        assert not commits

    assert foreign.rows("SELECT count(*) FROM workflow_run") == [(int(commits),)]
    assert foreign.rows("SELECT event_type FROM workflow_event") == ([("created",)] if commits else [])
