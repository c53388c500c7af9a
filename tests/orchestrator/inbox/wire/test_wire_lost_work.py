"""No run is lost or stuck by what its handler, its worker or the database does."""

import logging

import anyio
import pytest

from orchestrator.inbox import Handlers, Poller, State
from orchestrator.inbox.machine import CRASH_ALLOWANCE
from orchestrator.inbox.store.records import ClaimRequest
from tests.orchestrator.inbox.wire.conftest import BOTH_BACKENDS, Place

pytestmark = pytest.mark.anyio


async def an_object(run):
    return object()


async def no_number(run):
    return {"value": float("nan")}


async def a_nul(run):
    return "a\0b"


async def an_error_with_nul(run):
    raise ValueError("a\0b")


async def an_exit(run):
    raise SystemExit(3)


async def half_a_character(run):
    raise ValueError("\ud800")


async def test_whatever_a_handler_returns_or_raises_ends_the_attempt(place, inbox, caplog):
    """There, what could not be stored left the run leased and its work was done again with each lease."""
    caplog.set_level(logging.CRITICAL + 1, "orchestrator.inbox")  # half a character is more than a test report can take
    works = [an_object, no_number, a_nul, an_error_with_nul, an_exit, half_a_character]
    handlers, ids = Handlers(), []
    for work in works:
        handlers.add(f"{work.__name__}.v1", work)
        ids.append(await inbox.submit(f"{work.__name__}.v1", 1, max_attempts=1))

    assert await Poller(inbox, handlers).poll() == len(works)
    place.age(3600)
    assert await Poller(inbox, handlers).poll() == 0

    for run_id in ids:
        run = await inbox.get(run_id)
        assert (run.state, run.leased_by, run.lease_until) == (State.FAILED, None, None)
        assert run.last_error


async def test_a_worker_that_died_does_not_keep_its_runs(place, inbox, poll, history):
    """There, one of the clients never looked at an expired lease, so such a run was stuck for ever."""
    run_id = await inbox.submit("mail.v1", 1)
    await claim(inbox, "dead")

    place.age(31)

    async def work(run):
        return run.attempt

    assert await poll(work) == 1
    assert (await inbox.get(run_id)).result == "2"
    assert (await history(run_id))[3] == "retried"


@BOTH_BACKENDS
async def test_work_that_ends_while_its_worker_is_cancelled_is_recorded(inbox):
    """There, a graceful stop cancelled the writing of the outcome too, and finished work was done again."""
    done = []

    async def work(run):
        scope.cancel()
        done.append(run.id)
        return "done"

    run_id = await inbox.submit("mail.v1", 1)
    with anyio.CancelScope() as scope:
        await Poller(inbox, Handlers().add("mail.v1", work)).run()

    assert ((await inbox.get(run_id)).state, done) == (State.SUCCEEDED, [run_id])


@BOTH_BACKENDS
async def test_a_stopped_worker_records_what_it_still_finishes(inbox):
    """The handler ends within the drain; nothing is run twice."""
    done = []

    async def work(run):
        poller.stop()
        await anyio.lowlevel.checkpoint()
        done.append(run.id)
        return "done"

    run_id = await inbox.submit("mail.v1", 1)
    poller = Poller(inbox, Handlers().add("mail.v1", work))
    await poller.run()
    await Poller(inbox, Handlers().add("mail.v1", work)).poll()

    assert ((await inbox.get(run_id)).result, done) == ('"done"', [run_id])


@pytest.mark.parametrize("max_attempts", [1, 2])
async def test_a_run_that_kills_its_workers_is_failed_in_the_end(place, inbox, max_attempts):
    """There, claims were not counted, and such a run took down one worker after the other for ever."""
    run_id = await inbox.submit("mail.v1", 1, max_attempts=max_attempts)
    claims = 0

    for _ in range(20):
        claims += await claim(inbox, "dead")
        place.age(31)
        await inbox.database.transaction(lambda c: inbox.store.sweep(c, 100))

    run = await inbox.get(run_id)
    assert (run.state, claims) == (State.FAILED, max_attempts + CRASH_ALLOWANCE)
    assert "kills its workers" in run.last_error


async def test_a_run_that_kills_their_workers_is_failed_in_the_end(place, foreign, inbox):
    """Also where ours are not involved but for the sweep."""
    run_id = foreign.submit("mail.v1", 1, max_attempts=1)
    claims = 0

    for _ in range(20):
        claims += foreign.claim("theirs", "mail.%") is not None
        place.age(31)
        await inbox.database.transaction(lambda c: inbox.store.sweep(c, 100))

    assert claims == 1 + CRASH_ALLOWANCE
    assert (await inbox.get(run_id)).state is State.FAILED


async def test_an_error_of_the_database_is_no_empty_queue(foreign, inbox, poll):
    """There, a claim that failed looked like nothing to do, and no metric told of it."""

    async def work(run):
        pass

    foreign.run("ALTER TABLE workflow_run RENAME TO gone")

    with pytest.raises(Exception, match="workflow_run"):
        await poll(work)


async def test_a_payload_that_is_no_json_is_failed_with_its_reason(tmp_path):
    """A row that somebody wrote by hand: one clear error, and the next run is run."""
    place = Place(f"sqlite://{tmp_path}/state.db")
    foreign = place.foreign()
    foreign.migrate()
    bad, good = foreign.submit("mail.v1", 1), foreign.submit("mail.v1", 2)
    foreign.run("UPDATE workflow_run SET payload = '{broken' WHERE id = %s", bad)

    async def work(run):
        return run.payload

    async with place.inbox() as inbox:
        assert await Poller(inbox, Handlers().add("mail.v1", work)).poll() == 2

        assert "payload" in (await inbox.get(bad)).last_error
        assert (await inbox.get(good)).state is State.SUCCEEDED
    foreign.close()


async def claim(inbox, worker):
    def work(connection):
        return inbox.store.claim(connection, ClaimRequest(worker, ["mail.v1"], 1, 30.0))

    return len(await inbox.database.transaction(work))
