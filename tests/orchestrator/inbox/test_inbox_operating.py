"""What an operator asks of the inbox, on both databases: versions, purges, switches, many retries, notifications."""

import logging
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from orchestrator.inbox import Inbox, Intent, InvalidIntent, InvalidQuery, State
from orchestrator.inbox.retention import Purge, Retention, RetentionWorker
from orchestrator.inbox.store.records import ClaimRequest, Failed, Settled
from orchestrator.inbox.tables import Migrations
from orchestrator.inbox.wakeup import CANCELLED, WORK, channel
from orchestrator.sql import SchemaNewer, SchemaOlder

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """A database of each kind."""
    return f"sqlite://{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
async def inbox(url, anyio_backend):
    """An inbox there."""
    async with Inbox.open(url) as opened:
        yield opened


async def failed(inbox, count, type="mail.v1"):  # noqa: A002 - the wire's own word
    """That many failed runs."""
    await inbox.submit_many([Intent(type, number) for number in range(count)])

    def work(connection):
        claimed = inbox.store.claim(connection, ClaimRequest("w", [type], count, 30.0))
        inbox.store.settle(connection, [Settled(run.hold, Failed("no", None)) for run in claimed])

    await inbox.database.transaction(work)


async def test_the_version_of_the_tables_is_told_before_and_after_the_migration(url, anyio_backend):
    """Asking changes nothing."""
    async with Inbox.open(url, migrate=False) as inbox:
        wanted = len(inbox.store.steps)
        assert await inbox.migrations() == Migrations(0, wanted)
        assert await inbox.migrations() == Migrations(0, wanted)
        await inbox.migrate()
        assert await inbox.migrations() == Migrations(wanted, wanted)


async def test_without_tables_every_call_says_so_and_how_to_get_them(url, anyio_backend):
    """One typed error, whatever is asked for."""
    async with Inbox.open(url, migrate=False) as inbox:
        for call in (
            lambda: inbox.submit("mail.v1", 1),
            lambda: inbox.submit_many([Intent("mail.v1")]),
            lambda: inbox.get("018f0000-0000-7000-8000-000000000000"),
            lambda: inbox.cancel("018f0000-0000-7000-8000-000000000000"),
            lambda: inbox.list(),
            lambda: inbox.stats(),
            lambda: inbox.types(),
            lambda: inbox.purge(1),
        ):
            with pytest.raises(SchemaOlder, match=r"'inbox' tables in .* are missing.*orchestrator migrate") as caught:
                await call()
            assert (caught.value.found, caught.value.known) == (0, len(inbox.store.steps))


async def test_a_database_of_something_else_is_told_by_what_it_holds(url, anyio_backend):
    """Whoever opened a wrong one sees it by the names."""
    async with Inbox.open(url, migrate=False) as inbox:
        await inbox.database.migrate("music", ["CREATE TABLE album (id INTEGER PRIMARY KEY)"])

        with pytest.raises(SchemaOlder, match=r"it holds other tables \(album\): if it is the right") as caught:
            await inbox.submit("mail.v1", 1)

    assert caught.value.others == ["album"]


async def test_tables_of_newer_code_are_refused_and_left_alone(url, anyio_backend):
    """The newer release is to be started."""
    async with Inbox.open(url) as inbox:
        add = "INSERT INTO orchestrator_schema (battery, version, applied_at) VALUES ('inbox', 99, CURRENT_TIMESTAMP)"
        await inbox.database.transaction(lambda c: c.execute(add).rowcount)

    with pytest.raises(SchemaNewer, match="version 99"):
        async with Inbox.open(url):
            pass


async def test_a_purge_deletes_what_ended_long_ago_in_small_batches(inbox):
    """With a breath between; what is younger, or still to be done, stays."""
    await failed(inbox, 7)
    waiting = await inbox.submit("mail.v1", 1)
    breaths = []

    async def sleep(seconds):
        breaths.append(seconds)

    purge = Purge(inbox.database.transaction, inbox.store, sleep)
    young = await purge(timedelta(hours=1))
    others = await purge(0, states=("succeeded", "cancelled"))
    count = await purge(0, batch=3)

    assert (young, others, count) == (0, 0, 7)
    assert breaths == [0.05, 0.05]
    assert [run.id for run in (await inbox.list()).runs] == [waiting]
    assert await inbox.purge(0) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"older_than": -1}, "older_than is -1; give seconds"),
        ({"older_than": float("nan")}, "older_than is nan"),
        ({"older_than": timedelta(days=-1)}, "older_than is datetime.timedelta"),
        ({"older_than": "1d"}, "older_than is '1d'"),
        ({"older_than": True}, "older_than is True"),
        ({"older_than": 1, "states": ["pending"]}, "'pending' are not purged"),
        ({"older_than": 1, "states": "failed"}, "states is 'failed'"),
        ({"older_than": 1, "states": []}, "states is "),
        ({"older_than": 1, "states": ["done"]}, "'done' are not purged.*succeeded, failed and cancelled"),
        ({"older_than": 1, "batch": 0}, "batch is 0"),
        ({"older_than": 1, "batch": True}, "batch is True"),
    ],
)
async def test_a_wrong_purge_deletes_nothing(inbox, arguments, said):
    """The value and what to give instead."""
    await failed(inbox, 1)

    with pytest.raises(InvalidQuery, match=said):
        await inbox.purge(**arguments)

    assert (await inbox.stats()).counts == {("mail.v1", State.FAILED): 1}


class Running:
    """A run of an interval worker."""

    def __init__(self, stopping):
        self.stopping = stopping
        self.logger = logging.LoggerAdapter(logging.getLogger("test"))
        self.signs = 0

    def progress(self, note=None):
        """It is alive."""
        self.signs += 1


async def test_retention_is_a_worker_that_shows_it_is_alive_and_ends_when_asked(inbox):
    """Between two batches."""
    await failed(inbox, 1200)
    worker = RetentionWorker(inbox.purging, Retention(older_than=0, every=60))
    stopped, whole = Running(stopping=True), Running(stopping=False)

    await worker.run(stopped)
    left = sum((await inbox.stats()).counts.values())
    await worker.run(whole)

    assert (left, (await inbox.stats()).counts) == (200, {})
    assert (stopped.signs, whole.signs) == (1, 1)


@pytest.mark.parametrize(
    "arguments", [{"older_than": -1}, {"older_than": 1, "every": 0}, {"older_than": 1, "states": ()}]
)
def test_a_wrong_retention_is_refused_when_it_is_written_down(arguments):
    """Not an hour later."""
    with pytest.raises(InvalidQuery):
        Retention(**arguments)


async def test_failed_runs_are_retried_in_one_go(inbox):
    """Of one type, up to a limit, and each once."""
    await failed(inbox, 250)
    await failed(inbox, 3, "bill.v1")

    bills = await inbox.retry_many(type="bill.v1")
    some = await inbox.retry_many(limit=120)
    rest = await inbox.retry_many()

    assert (bills, some, rest) == (3, 120, 130)
    counts = {("mail.v1", State.PENDING): 250, ("bill.v1", State.PENDING): 3}
    assert (await inbox.stats()).counts == counts
    for limit in (0, -1, True, 1.5, None):
        with pytest.raises(InvalidQuery, match="limit is"):
            await inbox.retry_many(limit=limit)


async def test_a_type_can_be_switched_off_and_on(inbox):
    """Also one that no worker has made known."""
    await inbox.database.transaction(lambda c: inbox.store.register(c, ["mail.v1", "bill.v1"]))
    await inbox.submit("mail.v1", 1)

    async def claim():
        request = ClaimRequest("w", ["mail.v1"], 5, 30.0)
        return await inbox.database.transaction(lambda c: inbox.store.claim(c, request))

    await inbox.set_enabled("mail.v1", False)
    await inbox.set_enabled("new.v1", False)
    off = [(each.type, each.enabled) for each in await inbox.types()]
    none = await claim()
    await inbox.set_enabled("mail.v1", True)
    one = await claim()

    assert off == [("bill.v1", True), ("mail.v1", False), ("new.v1", False)]
    assert (len(none), len(one)) == (0, 1)
    with pytest.raises(InvalidIntent, match="'a b'"):
        await inbox.set_enabled("a b", True)


async def test_others_are_notified_after_the_commit_and_only_of_what_may_start_now(postgres_url, anyio_backend):
    """Of due work, of retries, and of cancellations by their word; those who asked for silence have it."""
    heard, ready, ended = [], anyio.Event(), anyio.Event()

    def hear(name, word):
        heard.append(word)
        if heard == ["", ""]:  # each channel once, when its LISTEN is in force
            ready.set()
        if word == "end":
            ended.set()

    async with Inbox.open(postgres_url) as inbox, Inbox.open(postgres_url, notify=False) as silent:
        listening = inbox.database.listen([channel("workflow"), "test"], hear)
        async with listening:
            await ready.wait()
            heard.clear()
            await inbox.submit("mail.v1", 1, delay=60)
            await inbox.submit("mail.v1", 1, run_at=datetime.now(UTC) + timedelta(hours=1))
            first = await silent.submit("mail.v1", 1, idempotency_key="k")
            await inbox.submit("mail.v1", 1, idempotency_key="k")
            await inbox.cancel(first)
            await inbox.retry(first)
            inbox.database.notify("test", "end")
            await ended.wait()

    assert sorted(heard[:-1]) == [WORK, CANCELLED]
    assert channel("workflow") != channel("other") != channel(None)
    assert len(channel("x" * 63).encode()) <= 63
