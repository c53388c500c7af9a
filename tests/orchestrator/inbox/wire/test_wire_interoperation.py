"""Producers and workers of another program and ours, on the same tables at the same time."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.contracts import PermanentFailure
from orchestrator.inbox import LeaseLost, State
from orchestrator.inbox.machine import TERMINAL
from orchestrator.inbox.store.records import ClaimRequest, Failed, Settled, Succeeded
from tests.orchestrator.inbox.conftest import new
from tests.orchestrator.inbox.wire.conftest import Place, as_json

pytestmark = pytest.mark.anyio

FORMS = pytest.mark.parametrize("form", ["go", "python"])


async def echo(run):
    return {"echo": run.payload}


async def test_what_their_producers_submit_is_run_here(foreign, inbox, poll, history):
    """Whatever JSON it is; its history is as of our own, and their readers see the result."""
    payloads = [{"a": [1, 2.5, None]}, [1], "täxt", 7, False, None]
    ids = [foreign.submit("mail.v1", each, key=f"k{n}", priority=5) for n, each in enumerate(payloads)]

    assert await poll(echo) == len(payloads)

    for run_id, payload in zip(ids, payloads, strict=True):
        run = await inbox.get(run_id)
        assert (run.state, run.claims, run.priority) == (State.SUCCEEDED, 1, 5)
        assert await history(run_id) == ["created", "leased", "started", "succeeded"]
        seen = foreign.rows("SELECT status, result, leased_by, lease_until FROM workflow_run WHERE id = %s", run_id)[0]
        assert (seen[0], as_json(seen[1]), seen[2:]) == ("succeeded", {"echo": payload}, (None, None))


@FORMS
async def test_what_we_submit_is_run_by_their_worker(place, inbox, history, form):
    """Found by its prefix, with the payload as it was given."""
    worker = place.foreign(form)
    run_id = await inbox.submit("mail.send.v1", {"to": "ä"}, max_attempts=5)
    place.age(1)  # in SQLite their clock has seconds, and ours microseconds

    claimed = worker.claim("theirs", "mail.%")
    worker.succeed(run_id, {"sent": True})

    run = await inbox.get(run_id)
    assert claimed == (run_id, "mail.send.v1", {"to": "ä"}, 0, 5)
    assert (run.state, json.loads(run.result)) == (State.SUCCEEDED, {"sent": True})
    assert await history(run_id) == ["created", "leased", "started", "succeeded"]
    assert worker.claim("theirs", "mail.%") is None


async def test_their_workers_take_ours_by_priority_and_not_before_their_time(place, foreign, inbox):
    """Lower first; one of the future waits; one that is deleted is left alone."""
    later = await inbox.submit("mail.v1", "later", delay=3600, priority=1)
    await inbox.submit("mail.v1", "low", priority=200)
    await inbox.submit("mail.v1", "urgent", priority=10)
    deleted = await inbox.submit("mail.v1", "deleted", priority=0)
    foreign.run("UPDATE workflow_run SET deleted_at = NOW WHERE id = %s", deleted)
    place.age(1)

    order = [foreign.claim("theirs", "mail.%") for _ in range(3)]
    place.age(3601)

    assert [claimed and claimed[2] for claimed in order] == ["urgent", "low", None]
    assert foreign.claim("theirs", "mail.v1")[0] == later


async def test_a_key_is_one_key_for_both(foreign, inbox):
    """Whoever comes first has it; we tell the id, they an empty text."""
    theirs = foreign.submit("mail.v1", 1, key="theirs")
    ours = await inbox.submit("mail.v1", 2, idempotency_key="ours")

    assert await inbox.submit("mail.v1", 3, idempotency_key="theirs") == theirs
    assert foreign.submit("mail.v1", 4, key="ours") == ""
    assert foreign.rows("SELECT count(*) FROM workflow_run") == [(2,)]
    assert ours != theirs


async def test_an_empty_key_of_theirs_is_a_key_like_any_other(foreign, inbox, poll):
    """One of their clients stores it so; its run is run."""
    run_id = foreign.submit("mail.v1", 1, key="")

    assert await poll(echo) == 1
    assert foreign.submit("mail.v1", 1, key="") == ""
    assert (await inbox.get(run_id)).idempotency_key == ""


async def test_a_run_of_theirs_without_attempts_to_spend_is_tried_once(foreign, inbox, poll):
    """One of their clients stores any number; one try is what it means there."""
    seen = []

    async def work(run):
        seen.append(run.attempt)
        raise ConnectionError("away")

    ids = [foreign.submit("mail.v1", 1, max_attempts=max_attempts) for max_attempts in (-2, 0, 1)]

    assert await poll(work) == 3

    runs = [await inbox.get(run_id) for run_id in ids]
    assert seen == [1, 1, 1]
    assert [(run.state, run.attempt) for run in runs] == [(State.FAILED, 1)] * 3


async def test_failures_count_the_same_whoever_notices_them(place, foreign, inbox, poll, history):
    """Two of theirs and one of ours are the three that the run has."""

    async def work(run):
        raise ConnectionError(f"attempt {run.attempt}")

    run_id = await inbox.submit("mail.v1", 1)
    place.age(1)
    foreign.fail(foreign.claim("theirs", "mail.%"), "first")
    first = await inbox.get(run_id)
    early = await poll(work)
    place.age(61)
    assert await poll(work) == 1
    second = await inbox.get(run_id)
    place.age(241 * 1.2)
    claimed = foreign.claim("theirs", "mail.%")
    foreign.fail(claimed, "last")

    run = await inbox.get(run_id)
    assert (first.state, first.attempt, first.last_error, early) == (State.PENDING, 1, "first", 0)
    assert (second.attempt, second.last_error, claimed[3]) == (2, "ConnectionError: attempt 2", 2)
    assert (run.state, run.attempt, run.last_error) == (State.FAILED, 3, "last")
    assert await history(run_id) == ["created", *["leased", "started", "retried"] * 2, "leased", "started", "failed"]


@FORMS
async def test_what_their_crashed_worker_held_is_brought_back(place, inbox, poll, history, form):
    """Also where their own workers never look at an expired lease; it counts as a failure, and not before its time."""
    worker = place.foreign(form)
    run_id = worker.submit("mail.v1", 1)
    worker.claim("theirs", "mail.%", lease=30)

    assert await poll(echo) == 0
    place.age(31)
    assert await poll(echo) == 1

    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.leased_by) == (State.SUCCEEDED, 1, None)
    assert await history(run_id) == ["created", "leased", "started", "retried", "leased", "started", "succeeded"]


async def test_what_our_crashed_worker_held_is_taken_over_by_theirs(place, foreign, inbox):
    """By its lease, which they see; our late outcome is refused."""
    run_id = await inbox.submit("mail.v1", 1)
    held = await claim(inbox, "ours", lease=30)

    early = foreign.claim("theirs", "mail.%")
    place.age(31)
    taken = foreign.claim("theirs", "mail.%")

    assert (early, taken[0]) == (None, run_id)
    assert await settle(inbox, held, Succeeded('"late"')) == "lost"
    foreign.succeed(run_id, "theirs")
    assert (await inbox.get(run_id)).result == '"theirs"'
    assert await settle(inbox, held, Failed("late", 1.0)) == "lost"


async def test_a_claim_of_theirs_that_comes_back_to_the_same_worker_name_is_another_lease(place, foreign, inbox):
    """The fence is raised for their claims too, so a name that is used twice is no key to the run."""
    run_id = await inbox.submit("mail.v1", 1)
    held = await claim(inbox, "same", lease=30)
    place.age(31)

    assert foreign.claim("same", "mail.%")[0] == run_id

    assert await settle(inbox, held, Succeeded("1")) == "lost"
    assert (await inbox.get(run_id)).fence == held.fence + 1


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
async def test_a_late_writer_of_theirs_cannot_undo_what_has_ended(place, foreign, inbox, poll, end):
    """Their outcomes name no lease; what has ended here stays as it is, and their client sees no error."""
    run_id = await inbox.submit("mail.v1", 1)
    place.age(1)
    slow = foreign.claim("slow", "mail.%", lease=30)
    place.age(31)
    if end == "cancelled":
        await inbox.cancel(run_id)
    else:

        async def work(run):
            if end == "failed":
                raise PermanentFailure("bad")
            return "ours"

        assert await poll(work) == 1
    before = await inbox.get(run_id)

    late_writes = {
        "succeeds": lambda: foreign.succeed(run_id, "late"),
        "fails": lambda: foreign.fail(slow, "late"),
        "fails for good": lambda: foreign.fail((*slow[:3], 2, 3), "late"),
        "renews": lambda: foreign.heartbeat(run_id),
        "cancels": lambda: foreign.cancel(run_id),
        "claims": lambda: foreign.claim("other", "mail.%"),
    }

    for name, write in late_writes.items():
        assert not write(), name
        assert await inbox.get(run_id) == before, name
    assert before.state == end
    assert await poll(echo) == 0


async def test_an_operator_here_can_run_again_what_they_ended(foreign, inbox, poll, history):
    """The guard holds back writers that name no fence, not ours."""
    run_id = foreign.submit("mail.v1", 1, max_attempts=1)
    foreign.fail(foreign.claim("theirs", "mail.%"), "no")

    await inbox.retry(run_id)

    assert await poll(echo) == 1
    assert (await inbox.get(run_id)).state is State.SUCCEEDED
    assert (await history(run_id))[-4:] == ["retried", "leased", "started", "succeeded"]


async def test_their_self_test_passes_on_our_tables(place, foreign, inbox):
    """Submit, duplicate, claim, heartbeat, fail, retry, succeed, cancel, and what each of them answers."""
    first = foreign.submit("billing.invoice.v1", {"n": 1}, key="k", max_attempts=2)
    other = foreign.submit("media.v1", {})
    assert foreign.submit("billing.invoice.v1", {"n": 1}, key="k") == ""

    claimed = foreign.claim("w", "billing.%")
    assert claimed == (first, "billing.invoice.v1", {"n": 1}, 0, 2)
    assert foreign.claim("w", "billing.%") is None
    until = foreign.rows("SELECT lease_until FROM workflow_run WHERE id = %s", first)
    assert foreign.heartbeat(first, 300)
    assert foreign.rows("SELECT lease_until FROM workflow_run WHERE id = %s", first) > until
    foreign.fail(claimed, "once")
    assert foreign.claim("w", "billing.%") is None
    place.age(61)
    again = foreign.claim("w", "billing.%")
    assert again[3] == 1
    foreign.fail(again, "twice")
    state = "SELECT status, attempt, last_error FROM workflow_run WHERE id = %s"
    assert foreign.rows(state, first) == [("failed", 2, "twice")]
    assert not foreign.cancel(first)
    assert foreign.cancel(other)
    assert foreign.is_cancelled(other)
    assert not foreign.cancel(other)
    events = foreign.rows("SELECT event_type FROM workflow_event WHERE workflow_id = %s ORDER BY id", first)
    told = ["created", "leased", "started", "heartbeat", "retried", "leased", "started", "failed"]
    assert [kind for (kind,) in events] == told


async def test_a_run_they_cancel_is_over_for_our_handler(foreign, inbox, poll):
    """Its heartbeat says so, and what it returns or raises afterwards changes nothing."""
    seen = []

    async def work(run):
        assert foreign.cancel(run.id)
        try:
            await run.heartbeat()
        except LeaseLost:
            seen.append("told")
            raise

    run_id = await inbox.submit("mail.v1", 1)

    await poll(work)

    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.last_error, seen) == (State.CANCELLED, 0, None, ["told"])


async def test_a_run_we_cancel_is_over_for_their_worker(place, foreign, inbox):
    """It sees it when it looks, and its success or failure changes nothing."""
    run_id = await inbox.submit("mail.v1", 1)
    place.age(1)
    claimed = foreign.claim("theirs", "mail.%")

    await inbox.cancel(run_id)

    assert foreign.is_cancelled(run_id)
    foreign.fail(claimed, "cancelled")
    foreign.succeed(run_id, "done")
    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.result) == (State.CANCELLED, 0, None)


async def test_runs_that_they_ended_are_purged_with_their_history(foreign, inbox):
    """With the events that their writers stored."""
    ended = foreign.submit("mail.v1", 1)
    foreign.succeed(foreign.claim("theirs", "mail.%")[0], 1)
    kept = foreign.submit("mail.v1", 2)

    gone = await inbox.database.transaction(lambda c: inbox.store.purge(c, -60.0, sorted(TERMINAL), 10))

    assert gone == 1
    assert [run.id for run in (await inbox.list()).runs] == [kept]
    assert foreign.rows("SELECT count(*) FROM workflow_event WHERE workflow_id = %s", ended) == [(0,)]


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel"])
async def test_a_key_taken_while_active_is_free_again_when_they_end_the_run(place, foreign, inbox, end):
    """Their writers know nothing of such keys, and still the next submit is a new run."""

    def submit(connection):
        return inbox.store.insert(connection, [new(key="nightly", unique=True)])[0]

    first = await inbox.database.transaction(submit)
    assert (await inbox.database.transaction(submit)).existed
    place.age(1)

    claimed = foreign.claim("theirs", "mail.%")
    if end == "succeed":
        foreign.succeed(first.id, 1)
    elif end == "fail":
        foreign.fail((*claimed[:3], 2, 3), "no")
    else:
        foreign.cancel(first.id)
    second = await inbox.database.transaction(submit)

    assert (second.existed, second.id != first.id) == (False, True)
    assert (await inbox.get(first.id)).idempotency_key == f"active:nightly:{first.id}"
    if end != "succeed":
        await inbox.cancel(second.id)
        await inbox.retry(first.id)
        assert (await inbox.database.transaction(submit)).id == first.id


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("{:%Y-%m-%d %H:%M:%S}.123456789 +0000 UTC m=+12.345", 0),
        ("{:%Y-%m-%d %H:%M:%S}.5 -0700 PDT m=+0.000001", -7 * 3600),
        ("{:%Y-%m-%d %H:%M:%S} +0900 JST", 9 * 3600),
        ("{:%Y-%m-%d %H:%M:%S}.25 +0545 +0545", 5.75 * 3600),
        ("{:%Y-%m-%d %H:%M:%S}.123+09:00", 9 * 3600),
        ("{:%Y-%m-%dT%H:%M:%S}Z", 0),
        ("{:%Y-%m-%dT%H:%M:%S}.75-05:00", -5 * 3600),
    ],
)
async def test_a_time_of_theirs_with_a_zone_is_the_time_that_it_says(tmp_path, text, seconds):
    """Their SQLite clients store local wall clocks in several forms; a retry is neither early nor hours late for it."""
    place = Place(f"sqlite://{tmp_path}/state.db")
    foreign = place.foreign()
    foreign.migrate()

    def local(minutes):
        return text.format(datetime.now(UTC) + timedelta(seconds=seconds, minutes=minutes))

    early = foreign.submit("mail.v1", 1)
    foreign.fail(foreign.claim("theirs", "mail.%"), "before the migration", run_at=local(30))
    async with place.inbox() as inbox:
        due = foreign.submit("mail.v1", 2, run_at=local(-1))
        later = foreign.submit("mail.v1", 3)
        foreign.fail((later, None, None, 1, 3), "later", run_at=local(30))
        first = await claim_all(inbox)
        place.age(31 * 60)
        second = await claim_all(inbox)
        listed = (await inbox.list()).runs

    assert first == {due}
    assert second == {early, later}
    assert len(listed) == 3
    foreign.close()


async def claim_all(inbox):
    def work(connection):
        inbox.store.promote(connection, 100)
        return inbox.store.claim(connection, ClaimRequest("ours", ["mail.v1"], 10, 3600.0))

    return {claimed.hold.run_id for claimed in await inbox.database.transaction(work)}


async def claim(inbox, worker, lease):
    def work(connection):
        return inbox.store.claim(connection, ClaimRequest(worker, ["mail.v1"], 1, lease))

    return (await inbox.database.transaction(work))[0].hold


async def settle(inbox, hold, outcome):
    lost = await inbox.database.transaction(lambda c: inbox.store.settle(c, [Settled(hold, outcome)]))
    return "lost" if lost else "kept"
