"""Rows, models and connections that must not stop a worker or mislead a producer."""

import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from uuid import UUID

import anyio.lowlevel
import psycopg
import pytest
from pydantic import BaseModel, field_validator

from orchestrator.inbox import Handlers, Inbox, Intent, InvalidIntent, InvalidQuery, Poller, State, UnknownRun
from orchestrator.inbox.store.schedules import Fire
from orchestrator.sql import DatabaseUrlError, SchemaOlder

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Of an empty database of either kind."""
    return f"sqlite://{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def inbox(url, anyio_backend):
    """An inbox on either."""
    async with Inbox.open(url) as opened:
        yield opened


async def nothing(run):
    """A handler."""


async def test_the_greatest_max_attempts_stops_nobody(inbox):
    """A sum with it is still a number."""
    run_id = await inbox.submit("mail.v1", 1, max_attempts=2**31 - 1)

    assert await Poller(inbox, Handlers().add("mail.v1", nothing)).poll() == 1
    assert (await inbox.get(run_id)).state is State.SUCCEEDED


async def test_a_lease_of_a_run_with_the_greatest_max_attempts_expires(inbox):
    """The sweep adds to it as well."""
    run_id = await inbox.submit("mail.v1", 1, max_attempts=2**31 - 1)
    await inbox.database.transaction(
        lambda connection: connection.execute(
            "UPDATE workflow_run SET status = 'leased', leased_by = 'gone', lease_until = '2020-01-01 00:00:00'"
        )
    )

    assert await Poller(inbox, Handlers().add("mail.v1", nothing)).poll() == 1
    assert (await inbox.get(run_id)).state is State.SUCCEEDED


@pytest.mark.parametrize("year", [1, 999])
async def test_a_time_long_ago_is_a_time(inbox, year):
    """Its year has fewer digits than others, and it sorts before them."""
    run_id = await inbox.submit("mail.v1", 1, run_at=datetime(year, 1, 2, tzinfo=UTC))

    assert (await inbox.list()).runs[0].run_at == datetime(year, 1, 2, tzinfo=UTC)
    assert await Poller(inbox, Handlers().add("mail.v1", nothing)).poll() == 1
    assert (await inbox.get(run_id)).state is State.SUCCEEDED


@pytest.mark.parametrize("time", ["infinity", "-infinity", "0044-03-15 12:00 BC"])
async def test_a_time_that_only_the_server_knows_stops_nobody(postgres_url, time, anyio_backend):
    """Another program may say "never", or "at once"."""
    async with Inbox.open(postgres_url) as inbox:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "INSERT INTO workflow.workflow_run (type, payload, run_at) VALUES ('mail.v1', '1', %s)", (time,)
            )
        await inbox.submit("mail.v1", 2)

        done = await Poller(inbox, Handlers().add("mail.v1", nothing)).poll()
        page, stats = await inbox.list(), await inbox.stats()

    assert done == (1 if time == "infinity" else 2)
    assert len(page.runs) == 2
    assert sum(stats.counts.values()) == 2


class Order(BaseModel):
    """A payload whose check has a mistake."""

    number: int

    @field_validator("number")
    @classmethod
    def known(cls, number):
        """Raises what pydantic lets pass."""
        return {1: 1}[number]


async def test_a_model_that_raises_fails_its_run_and_not_its_poller(inbox):
    """As a handler that raises does."""
    run_id = await inbox.submit("order.v1", {"number": 2}, max_attempts=1)
    good = await inbox.submit("order.v1", {"number": 1})

    await Poller(inbox, Handlers().add("order.v1", nothing, payload=Order)).poll()

    run = await inbox.get(run_id)
    assert (run.state, run.last_error) == (State.FAILED, "KeyError: 2")
    assert (await inbox.get(good)).state is State.SUCCEEDED


class Named(BaseModel):
    """A payload with a text."""

    name: str


async def test_json_that_only_pydantic_refuses_is_not_passed_unchecked(tmp_path, anyio_backend):
    """Python reads a lone surrogate, pydantic does not; a handler gets its model or nothing."""
    seen = []

    async def work(run):
        seen.append(run.payload)

    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        run_id = await inbox.submit("named.v1", {"name": "x"})
        await inbox.database.transaction(
            lambda connection: connection.execute("UPDATE workflow_run SET payload = ?", (r'{"name": "\ud800"}',))
        )
        await Poller(inbox, Handlers().add("named.v1", work, payload=Named)).poll()
        run = await inbox.get(run_id)

    assert seen == []
    assert run.state is State.FAILED
    assert "does not fit Named" in run.last_error


async def test_poll_brings_back_all_expired_leases(inbox):
    """More than one sweep takes."""
    await inbox.submit_many([Intent("mail.v1", number) for number in range(150)])
    await inbox.database.transaction(
        lambda connection: connection.execute(
            "UPDATE workflow_run SET status = 'leased', leased_by = 'gone', lease_until = '2020-01-01 00:00:00'"
        )
    )

    assert await Poller(inbox, Handlers().add("mail.v1", nothing)).poll() == 150


async def test_a_poller_without_tables_says_so(url, anyio_backend):
    """And how to make them."""
    async with Inbox.open(url, migrate=False) as inbox:
        with pytest.raises(SchemaOlder, match="migrate"):
            await Poller(inbox, Handlers().add("mail.v1", nothing)).poll()


async def test_a_joined_submit_leaves_the_plans_of_its_transaction_alone(postgres_url, anyio_backend):
    """What follows in the caller's transaction may join by hashes."""
    async with Inbox.open(postgres_url) as inbox:
        await inbox.submit("mail.v1", 1, idempotency_key="known")
        with psycopg.connect(postgres_url) as connection:
            before = connection.execute("SHOW enable_hashjoin").fetchone()
            inbox.submit_in(connection, "mail.v1", 1, idempotency_key="known")
            after = connection.execute("SHOW enable_hashjoin").fetchone()

    assert before == after == ("on",)


@pytest.mark.parametrize("factory", [psycopg.RawCursor, psycopg.ClientCursor])
async def test_a_connection_with_cursors_of_its_own_is_joined(postgres_url, factory, anyio_backend):
    """Our statements bring theirs."""
    async with Inbox.open(postgres_url) as inbox:
        with psycopg.connect(postgres_url, cursor_factory=factory) as connection:
            run_id = inbox.submit_in(connection, "mail.v1", 1)
        assert (await inbox.get(run_id)).state is State.PENDING


async def test_a_schema_with_a_percent_sign_is_refused_at_once(postgres_url, anyio_backend):
    """The driver's own marks begin with one; braces and quotes are as good as letters."""
    with pytest.raises(DatabaseUrlError, match="percent"):
        await Inbox.open(f"{postgres_url}?schema=a%25sb").__aenter__()
    async with Inbox.open(f"{postgres_url}?schema=a%22b%7Bc%7D") as inbox:
        run_id = await inbox.submit("mail.v1", 1, idempotency_key="k")
        schedule = await inbox.schedule("mail.v1").cron("* * * * *").create()
        await Poller(inbox, Handlers().add("mail.v1", nothing)).poll()

        assert (await inbox.get(run_id)).state is State.SUCCEEDED
        assert (await inbox.schedules.get(schedule)).enabled


@pytest.mark.parametrize("text", ["a\0b", "\ud800", 7])
async def test_a_listing_of_what_no_database_holds_is_refused(inbox, text):
    """Before the driver stumbles over it."""
    for name in ("type", "idempotency_key", "cursor"):
        with pytest.raises(InvalidQuery, match=name):
            await inbox.list(**{name: text})


@pytest.mark.parametrize("text", ["a\0b", "\ud800", 7, None])
async def test_an_id_that_no_run_can_have_is_unknown(inbox, text):
    """Whatever it is."""
    for ask in (inbox.get, inbox.events, inbox.cancel, inbox.retry):
        with pytest.raises(UnknownRun):
            await ask(text)


async def test_an_id_is_the_same_however_it_is_written(inbox):
    """As a driver gives it, in capitals, without dashes: on every database, for runs and for schedules."""
    run_id = await inbox.submit("mail.v1", 1)
    schedule_id = await inbox.schedule("mail.v1").cron("* * * * *").create()

    for spelled in (UUID, str.upper, lambda text: text.replace("-", "")):
        assert (await inbox.get(spelled(str(run_id)))).id == run_id
        assert len(await inbox.events(spelled(str(run_id)))) > 0
        await inbox.cancel(spelled(str(run_id)))
        await inbox.retry(spelled(str(run_id)))
        assert (await inbox.schedules.get(spelled(schedule_id))).id == schedule_id


async def test_what_is_no_intent_is_refused_among_others(inbox):
    """With what to give instead; nothing is stored."""
    for wrong in ({"type": "mail.v1"}, "mail.v1", None, ("mail.v1", 1)):
        with pytest.raises(InvalidIntent, match=r"no Intent.*Intent\(type, payload\)"):
            await inbox.submit_many([Intent("mail.v1", 1), wrong])
        with pytest.raises(InvalidIntent, match=r"no Intent.*Intent\(type, payload\)"):
            await inbox.database.transaction(lambda c, wrong=wrong: inbox.submit_many_in(c, [wrong]))

    assert (await inbox.list()).runs == []


@pytest.mark.parametrize("wrong", ["no", 0, None])
async def test_a_switch_is_on_or_off(inbox, wrong):
    """What is neither changes nothing: on SQLite any text would have been true."""
    with pytest.raises(InvalidQuery, match=r"enabled is .*give True or False"):
        await inbox.set_enabled("mail.v1", wrong)

    assert await inbox.types() == []


async def test_what_ended_the_whole_transaction_is_told_to_whoever_joins(tmp_path, anyio_backend):
    """SQLite rolls everything back when it is interrupted, or its disk is full: our savepoint is gone by then."""
    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        with contextlib.closing(sqlite3.connect(tmp_path / "state.db")) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT * FROM workflow_run").fetchall()
            connection.set_progress_handler(lambda: 1, 100)
            with pytest.raises(sqlite3.OperationalError, match="interrupted"):
                inbox.submit_many_in(connection, [Intent("mail.v1", 1)] * 100)

            assert not connection.in_transaction


async def test_what_ended_the_whole_transaction_is_told_to_the_ticker(tmp_path, anyio_backend):
    """And not that a savepoint is missing, of which nobody knows what to do about it."""
    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        await inbox.schedule("mail.v1").cron("* * * * *").create()
        record = (await inbox.schedules.list()).schedules[0]
        fire = Fire(record, [record.next_run_at], record.next_run_at + timedelta(minutes=1))

        def interrupted(connection):
            connection.set_progress_handler(lambda: 1, 20)
            try:
                inbox.schedules.store.advance(connection, [fire])
            finally:
                connection.set_progress_handler(None, 20)

        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            await inbox.database.transaction(interrupted)


async def test_two_retries_and_a_submit_of_one_unique_key_meet_without_harm(postgres_url, anyio_backend):
    """Whoever comes second keeps its run without the key."""
    async with Inbox.open(postgres_url) as inbox:
        run_id = await inbox.submit("mail.v1", 1, idempotency_key="k", unique=True)
        await inbox.cancel(run_id)
        with psycopg.connect(postgres_url) as connection:
            inbox.submit_in(connection, "mail.v1", 2, idempotency_key="k", unique=True)
            async with anyio.create_task_group() as tg:
                tg.start_soon(inbox.retry, run_id)
                with psycopg.connect(postgres_url, autocommit=True) as watching:
                    while not watching.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                        await anyio.lowlevel.checkpoint()
                connection.commit()

        assert (await inbox.get(run_id)).state is State.PENDING


@pytest.mark.parametrize("nested", ["committed", "rolled back"])
async def test_a_savepoint_of_a_session_is_no_commit(postgres_url, nested, anyio_backend):
    """Workers are told when the intent can be seen."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from sqlalchemy.orm import Session

    told = []
    async with Inbox.open(postgres_url) as inbox:
        inbox.database.notify = lambda channel, payload="": told.append(payload)
        engine = sqlalchemy.create_engine(postgres_url.replace("postgresql://", "postgresql+psycopg://"))
        with Session(engine) as session:
            inbox.submit_in(session, "mail.v1", 1)
            inner = session.begin_nested()
            inner.commit() if nested == "committed" else inner.rollback()
            before = list(told)
            session.commit()
        engine.dispose()

    assert (before, told) == ([], [""])


async def test_an_inbox_makes_its_poller(inbox):
    """With the options of one that is made by hand."""

    async def work(run):
        return run.payload

    run_id = await inbox.submit("mail.v1", 1)
    poller = inbox.poller(Handlers().add("mail.v1", work), worker_id="mail-1", concurrency=3)

    assert await poller.poll() == 1
    assert repr(poller) == "<Poller mail-1: 0 of 3 running>"
    assert (await inbox.get(run_id)).result == "1"


@pytest.mark.parametrize("name", ["a\0b", "\ud800", 7])
async def test_a_worker_is_named_by_a_text(inbox, name):
    """One that the database could not hold would fail every claim."""
    with pytest.raises(ValueError, match="worker_id is"):
        inbox.poller(Handlers().add("mail.v1", print), worker_id=name)
