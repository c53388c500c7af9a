"""What the other program's own tests ask for, asked of ours on both databases."""

import json
from datetime import UTC, datetime

import anyio
import pytest

from orchestrator.inbox import AlreadyFinished, Handlers, Inbox, Poller, State, UnknownRun
from orchestrator.inbox.errors import InvalidSchedule, UnknownSchedule
from orchestrator.inbox.schedules.ticker import Ticker
from orchestrator.inbox.store.records import ClaimRequest, Failed, Settled, Succeeded
from orchestrator.sql import DatabaseUrlError
from orchestrator.sql.connect import check_url
from tests.orchestrator.inbox.wire.conftest import BOTH_BACKENDS

pytestmark = pytest.mark.anyio


async def done(run):
    return {"status": "done"}


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("sqlite://:memory:", ":memory:"),
        ("sqlite3://:memory:", ":memory:"),
        ("sqlite://", ":memory:"),
        ("sqlite:///var/a.db", "/var/a.db"),
        ("SQLite:///var/a.db", "/var/a.db"),
        ("postgres://u@h/d?schema=mine", "postgresql://u@h:5432/d?schema=mine"),
        ("postgresql://u@h/d?search_path=mine", "postgresql://u@h:5432/d?schema=mine"),
        ("postgres://u:secret@h/d", "postgresql://u@h:5432/d?schema=workflow"),
        ("POSTGRES://u@h/d", "postgresql://u@h:5432/d?schema=workflow"),
    ],
)
def test_a_url_names_what_it_named_there(url, named):
    """In any case, with the schema ``workflow`` where none is named, and never shown with its password."""
    assert check_url(url) == named


@pytest.mark.parametrize("url", ["postgres://u@h/d?schema=a&search_path=b", "mysql://h/d", "host=h dbname=d", ""])
def test_a_url_that_is_not_clear_is_refused(url):
    """Two names for the schema, another database, and what is no URL."""
    with pytest.raises(DatabaseUrlError):
        check_url(url)


async def test_tables_are_made_by_opening_and_a_run_is_processed(place):
    """Without a migration by hand, and again without an error."""
    for _ in range(2):
        async with place.inbox() as inbox:
            run_id = await inbox.submit("demo.hello.v1", {"msg": "hi"})
            assert await Poller(inbox, Handlers().add("demo.hello.v1", done)).poll() == 1
            run = await inbox.get(run_id)

    assert (run.state, json.loads(run.result)) == (State.SUCCEEDED, {"status": "done"})


async def test_a_submitted_run_is_read_back_with_its_options(inbox):
    """The defaults, then each option."""
    plain = await inbox.get(await inbox.submit("a.v1", {"k": "v"}))
    run_id = await inbox.submit("a.v1", {}, idempotency_key="key", priority=10, max_attempts=5, delay=5)
    full = await inbox.get(run_id)

    assert (plain.state, plain.type, plain.priority, plain.max_attempts) == (State.PENDING, "a.v1", 100, 3)
    assert (plain.attempt, plain.leased_by, plain.idempotency_key, plain.result) == (0, None, None, None)
    assert (full.priority, full.max_attempts, full.idempotency_key) == (10, 5, "key")
    assert (full.run_at - full.created_at).total_seconds() == 5


async def test_a_priority_of_zero_is_a_priority_of_zero(inbox):
    """And one below it is more urgent still."""
    runs = {n: await inbox.get(await inbox.submit("a.v1", n, priority=n)) for n in (0, -5)}

    assert {n: run.priority for n, run in runs.items()} == {0: 0, -5: -5}


async def test_a_run_can_be_cancelled_once_and_an_unknown_one_not(inbox, history):
    """Twice is once; one that has ended otherwise is an error."""
    run_id = await inbox.submit("a.v1", 1)
    await inbox.cancel(run_id)
    await inbox.cancel(run_id)

    assert (await inbox.get(run_id)).state is State.CANCELLED
    assert await history(run_id) == ["created", "cancelled"]
    with pytest.raises(UnknownRun):
        await inbox.cancel("00000000-0000-4000-8000-000000000000")
    ended = await inbox.submit("mail.v1", 1)
    await Poller(inbox, Handlers().add("mail.v1", done)).poll()
    with pytest.raises(AlreadyFinished):
        await inbox.cancel(ended)


async def test_runs_are_listed_by_type_by_state_by_key_and_page_by_page(inbox):
    """Newest first."""
    ids = [await inbox.submit(f"t{n % 2}.v1", n, idempotency_key=f"k{n}") for n in range(5)]
    await inbox.cancel(ids[4])

    assert [run.id for run in (await inbox.list()).runs] == ids[::-1]
    assert [run.id for run in (await inbox.list(type="t1.v1")).runs] == [ids[3], ids[1]]
    assert [run.id for run in (await inbox.list(state="cancelled")).runs] == [ids[4]]
    assert [run.id for run in (await inbox.list(idempotency_key="k2")).runs] == [ids[2]]
    page = await inbox.list(limit=2)
    assert [run.id for run in page.runs] == [ids[4], ids[3]]
    assert [run.id for run in (await inbox.list(limit=2, cursor=page.next)).runs] == [ids[2], ids[1]]


async def test_a_claim_leases_to_its_worker_and_a_success_stores_its_result(inbox):
    """And an empty inbox gives nothing."""
    run_id = await inbox.submit("a.v1", 1)
    (claimed,) = await claim(inbox, "w", "a.v1")
    leased = await inbox.get(run_id)

    assert (leased.state, leased.leased_by) == (State.LEASED, "w")
    assert leased.lease_until > leased.updated_at
    assert await claim(inbox, "other", "a.v1") == []
    await settle(inbox, claimed, Succeeded('{"n": 1}'))
    assert json.loads((await inbox.get(run_id)).result) == {"n": 1}


async def test_a_first_failure_is_pending_and_the_last_one_failed(inbox, place):
    """With the number and the error of the last attempt."""
    run_id = await inbox.submit("a.v1", 1, max_attempts=2)

    await settle(inbox, (await claim(inbox, "w", "a.v1"))[0], Failed("first", 60.0))
    first = await inbox.get(run_id)
    place.age(61)
    await settle(inbox, (await claim(inbox, "w", "a.v1"))[0], Failed("second", None))
    second = await inbox.get(run_id)

    assert (first.state, first.attempt, first.last_error) == (State.PENDING, 1, "first")
    assert (second.state, second.attempt, second.last_error) == (State.FAILED, 2, "second")


async def test_a_lease_is_extended_by_its_holder_only(inbox):
    """And of a run that is not there, nothing is."""
    await inbox.submit("a.v1", 1)
    hold = (await claim(inbox, "w", "a.v1"))[0].hold
    strange = type(hold)("00000000-0000-4000-8000-000000000000", "w", 1)
    other = type(hold)(hold.run_id, "other", hold.fence)
    before = (await inbox.get(hold.run_id)).lease_until

    def beat(*holds):
        return inbox.database.transaction(lambda c: inbox.store.heartbeat(c, holds, 300.0))

    assert (await beat(strange, other)).lost == {strange, other}
    assert (await inbox.get(hold.run_id)).lease_until == before
    assert (await beat(hold)).lost == frozenset()
    assert (await inbox.get(hold.run_id)).lease_until > before


async def test_a_live_lease_is_not_taken_and_an_expired_one_is(place, inbox):
    """By the new worker."""
    run_id = await inbox.submit("a.v1", 1)
    await claim(inbox, "old", "a.v1")

    assert await claim(inbox, "new", "a.v1") == []
    place.age(31)
    assert len(await claim(inbox, "new", "a.v1")) == 1
    assert (await inbox.get(run_id)).leased_by == "new"


async def test_a_prefix_leaves_other_families_pending(inbox):
    """``billing.`` brings both of billing and none of media."""
    billing = [await inbox.submit(f"billing.{name}.v1", 1) for name in ("invoice", "payment")]
    media = await inbox.submit("media.v1", 1)

    claimed = await claim(inbox, "w", prefixes=("billing.",))

    assert sorted(each.hold.run_id for each in claimed) == sorted(billing)
    assert (await inbox.get(media)).state is State.PENDING


async def test_a_handlers_error_is_kept_with_its_attempt(inbox, poll):
    """The run waits for its next attempt."""

    async def work(run):
        raise RuntimeError("boom")

    run_id = await inbox.submit("mail.v1", 1)
    await poll(work)

    run = await inbox.get(run_id)
    assert (run.state, run.attempt, run.last_error) == (State.PENDING, 1, "RuntimeError: boom")


@BOTH_BACKENDS
async def test_a_worker_and_a_ticker_stop_with_their_scope(inbox):
    """At once."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Poller(inbox, Handlers().add("mail.v1", done)).run)
            tasks.start_soon(Ticker(inbox).run)
            await inbox.submit("mail.v1", 1)
            tasks.cancel_scope.cancel()


async def test_a_schedule_has_its_defaults_and_its_options(inbox):
    """UTC, on, and for its first time after now."""
    plain = await inbox.schedules.get(await inbox.schedule("r.v1", {"a": 1}).cron("*/5 * * * *").create())
    builder = inbox.schedule("r.v1").cron("0 9 * * 1", tz="America/New_York").priority(5).max_attempts(9)
    full = await inbox.schedules.get(await builder.create())

    assert (plain.timezone, plain.enabled, plain.priority, plain.max_attempts) == ("UTC", True, 100, 3)
    assert (plain.cron, json.loads(plain.payload), plain.last_run_at) == ("*/5 * * * *", {"a": 1}, None)
    assert plain.next_run_at > datetime.now(UTC)
    assert (full.timezone, full.priority, full.max_attempts) == ("America/New_York", 5, 9)


async def test_a_schedule_without_a_cron_is_refused(inbox):
    """It would never fire."""
    with pytest.raises(InvalidSchedule):
        await inbox.schedule("r.v1").create()


async def test_a_schedule_is_paused_resumed_and_deleted(foreign, inbox):
    """Deleting it twice is an error, and so is pausing one that nobody knows; a listing does not show it."""
    schedules = inbox.schedules
    schedule_id = await inbox.schedule("r.v1").cron("* * * * *").create()
    kept = await inbox.schedule("r.v1").cron("* * * * *").create()

    await schedules.pause(schedule_id)
    assert not (await schedules.get(schedule_id)).enabled
    await schedules.resume(schedule_id)
    assert (await schedules.get(schedule_id)).enabled
    await schedules.delete(schedule_id)

    assert [each.id for each in (await schedules.list()).schedules] == [kept]
    deleted = foreign.rows("SELECT enabled FROM workflow_schedule WHERE deleted_at IS NOT NULL")
    assert [bool(enabled) for (enabled,) in deleted] == [False]
    for call in (schedules.delete, schedules.pause, schedules.resume):
        with pytest.raises(UnknownSchedule):
            await call(schedule_id)
    with pytest.raises(UnknownSchedule):
        await schedules.pause("00000000-0000-4000-8000-000000000000")


async def test_a_tick_makes_one_run_and_moves_the_schedule_into_the_future(foreign, inbox, poll):
    """A second tick makes none; a worker runs it."""
    schedule_id = await inbox.schedule("mail.v1", {"n": 1}).cron("* * * * *").create()
    foreign.run(
        "UPDATE workflow_schedule SET next_run_at = %s", "2026-01-01 00:00:00+00"[: 19 if foreign.sqlite else 22]
    )

    assert [await Ticker(inbox).tick(), await Ticker(inbox).tick()] == [1, 0]

    schedule = await inbox.schedules.get(schedule_id)
    assert schedule.next_run_at.timestamp() > schedule.updated_at.timestamp() - 1
    assert schedule.last_run_at is not None
    assert await poll(done) == 1
    assert (await inbox.stats()).counts == {("mail.v1", State.SUCCEEDED): 1}


async def test_an_inbox_lives_in_a_database_that_is_open_already(place):
    """Beside what else is in it."""
    from orchestrator.sql import open_database

    async with open_database(place.url) as database:
        inbox = Inbox.over(database)
        await inbox.migrate()
        await inbox.submit("mail.v1", 1)

        assert (await inbox.stats()).counts == {("mail.v1", State.PENDING): 1}


async def claim(inbox, worker, *types, prefixes=()):
    def work(connection):
        inbox.store.sweep(connection, 10)
        inbox.store.promote(connection, 10)
        return list(inbox.store.claim(connection, ClaimRequest(worker, types, 10, 30.0, prefixes=prefixes)))

    return await inbox.database.transaction(work)


async def settle(inbox, claimed, outcome):
    lost = await inbox.database.transaction(lambda c: inbox.store.settle(c, [Settled(claimed.hold, outcome)]))
    assert lost == frozenset()
