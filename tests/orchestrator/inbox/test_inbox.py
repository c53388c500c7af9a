"""Submitting and looking, on a real file."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.inbox import Inbox, Intent, InvalidIntent, InvalidPayload, InvalidQuery, PayloadTooLarge, State
from orchestrator.inbox.store.records import ClaimRequest
from orchestrator.sql import DatabaseUrlError, DiskFull, SchemaNewer

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def inbox(tmp_path, anyio_backend):
    """An inbox where it is noon."""
    async with Inbox.open(f"sqlite://{tmp_path}/state.db", now=lambda: NOON) as opened:
        yield opened


async def test_an_intent_is_stored_as_it_was_submitted(inbox):
    """Its id is its run's."""
    run_id = await inbox.submit("mail.v1", {"to": "é"}, idempotency_key="k", priority=-5, delay=90, max_attempts=1)

    run = await inbox.get(run_id)
    assert (run.type, run.payload, run.idempotency_key, run.priority) == ("mail.v1", '{"to":"é"}', "k", -5)
    assert (run.run_at, run.max_attempts, run.state) == (NOON + timedelta(seconds=90), 1, State.PENDING)


async def test_a_known_key_gives_the_id_of_the_first_submit(inbox):
    """Nothing else is stored."""
    first = await inbox.submit("mail.v1", 1, idempotency_key="k")

    assert await inbox.submit("mail.v1", 2, idempotency_key="k") == first
    assert (await inbox.get(first)).payload == "1"


async def test_run_at_is_a_time_in_any_zone(inbox):
    """It is stored in UTC."""
    run_id = await inbox.submit("mail.v1", 1, run_at=datetime.fromisoformat("2026-03-02T01:00:00+09:00"))

    assert (await inbox.get(run_id)).run_at == datetime(2026, 3, 1, 16, tzinfo=UTC)


async def test_many_are_stored_in_their_order_or_not_at_all(inbox):
    """One that is wrong keeps all out."""
    ids = await inbox.submit_many([Intent("mail.v1", n) for n in range(20)])
    with pytest.raises(InvalidPayload):
        await inbox.submit_many([Intent("mail.v1", 1), Intent("mail.v1", object())])

    page = await inbox.list(limit=1000)
    assert [run.id for run in page.runs] == ids[::-1]
    assert ids == sorted(ids)
    assert await inbox.submit_many([]) == []


async def test_an_intent_joins_the_transaction_of_its_caller(inbox):
    """It is stored with the caller's own change, or not at all."""
    await inbox.database.transaction(lambda c: c.execute("CREATE TABLE invoice (run_id TEXT)").rowcount)

    def work(connection, fails):
        run_id = inbox.submit_in(connection, "mail.v1", 1, delay=5)
        connection.execute("INSERT INTO invoice VALUES (?)", (run_id,))
        if fails:
            raise KeyError
        return run_id

    with pytest.raises(KeyError):
        await inbox.database.transaction(lambda c: work(c, fails=True))
    run_id = await inbox.database.transaction(lambda c: work(c, fails=False))

    assert [run.id for run in (await inbox.list()).runs] == [run_id]
    assert await inbox.database.read(lambda c: [row[0] for row in c.execute("SELECT * FROM invoice")]) == [run_id]


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("a b", 1), {}, InvalidIntent),
        (("mail.v1", object()), {}, InvalidPayload),
        (("mail.v1", "a\0"), {}, InvalidPayload),
        (("mail.v1", "x" * 1024 * 1024), {}, PayloadTooLarge),
        (("mail.v1", 1), {"delay": -1}, InvalidIntent),
        (("mail.v1", 1), {"run_at": datetime(2026, 1, 1)}, InvalidIntent),  # noqa: DTZ001 - what is refused
        (("mail.v1", 1), {"max_attempts": 0}, InvalidIntent),
        (("mail.v1", 1), {"priority": True}, InvalidIntent),
    ],
)
async def test_a_wrong_submit_is_one_clear_error_and_stores_nothing(inbox, arguments, options, error):
    """In the caller's own transaction as well."""
    with pytest.raises(error, match=r"^(intent 'mail\.v1'|the intent type)"):
        await inbox.submit(*arguments, **options)
    with pytest.raises(error):
        await inbox.database.transaction(lambda c: inbox.submit_in(c, *arguments, **options))

    assert (await inbox.stats()).counts == {}


async def test_a_full_disk_loses_nothing_that_was_stored(inbox):
    """The submit that failed left no trace and may be tried again."""
    kept = await inbox.submit("mail.v1", 1)
    pages = await inbox.database.transaction(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await inbox.database.transaction(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())

    with pytest.raises(DiskFull):
        await inbox.submit("mail.v1", "x" * 100_000)
    await inbox.database.transaction(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchall())
    again = await inbox.submit("mail.v1", "x" * 100_000)

    assert [run.id for run in (await inbox.list()).runs] == [again, kept]


async def test_cancel_and_retry_are_told_in_the_history(inbox):
    """An operator's retry begins anew."""
    run_id = await inbox.submit("mail.v1", 1)

    await inbox.cancel(run_id)
    await inbox.retry(run_id)

    history = [(event.type, event.data) for event in await inbox.events(run_id)]
    assert history == [("created", None), ("cancelled", None), ("retried", {"reason": "operator"})]
    assert (await inbox.stats()).counts == {("mail.v1", State.PENDING): 1}


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": True}, {"limit": 1001}, {"limit": 1.5}, {"state": "done"}])
async def test_a_listing_with_a_wrong_value_is_refused(inbox, wrong):
    """By name."""
    with pytest.raises(InvalidQuery, match=next(iter(wrong))):
        await inbox.list(**wrong)


async def test_a_url_of_another_database_is_refused():
    """Before anything is opened."""
    with pytest.raises(DatabaseUrlError, match="unknown scheme 'mysql'"):
        async with Inbox.open("mysql://localhost/db"):
            pass


async def test_tables_of_a_newer_release_are_refused(tmp_path, inbox):
    """Nothing is changed in them."""
    newer = "INSERT INTO orchestrator_schema VALUES ('inbox', 99, '2030-01-01')"
    await inbox.database.transaction(lambda c: c.execute(newer).rowcount)

    with pytest.raises(SchemaNewer, match="version 99"):
        async with Inbox.open(f"sqlite://{tmp_path}/state.db"):
            pass


THEIRS = """
CREATE TABLE workflow_run (id TEXT PRIMARY KEY, type TEXT NOT NULL, payload TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending','leased','succeeded','failed','cancelled')),
    priority INTEGER NOT NULL DEFAULT 100, run_at TEXT NOT NULL DEFAULT (datetime('now')), idempotency_key TEXT UNIQUE,
    attempt INTEGER NOT NULL DEFAULT 0, max_attempts INTEGER NOT NULL DEFAULT 3, leased_by TEXT, lease_until TEXT,
    last_error TEXT, result TEXT, created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now')), deleted_at TEXT);
CREATE INDEX idx_workflow_run_claim ON workflow_run (status, run_at, priority, created_at);
CREATE TABLE workflow_event (id INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id TEXT NOT NULL REFERENCES workflow_run (id) ON DELETE CASCADE, event_type TEXT NOT NULL,
    data TEXT, created_at TEXT NOT NULL DEFAULT (datetime('now')));
INSERT INTO workflow_run (id, type, payload, run_at) VALUES ('theirs', 'mail.v1', '{"a": 1}', '2026-03-01 11:59:59');
INSERT INTO workflow_event (workflow_id, event_type) VALUES ('theirs', 'created');
"""


async def test_a_database_of_another_program_is_taken_over_with_its_data(tmp_path):
    """Its runs and their history stay, its producers go on submitting."""
    with sqlite3.connect(tmp_path / "theirs.db") as theirs:
        theirs.executescript(THEIRS)

    async with Inbox.open(f"sqlite://{tmp_path}/theirs.db", now=lambda: NOON) as inbox:
        with theirs:
            submit = "INSERT INTO workflow_run (id, type, payload, idempotency_key) VALUES (?, 'mail.v1', x'7B7D', 'k')"
            theirs.execute(f"{submit} ON CONFLICT (idempotency_key) DO NOTHING", ("second",))
        old, new = await inbox.get("theirs"), await inbox.get("second")

        assert (old.payload, old.fence, old.claims, old.run_at) == ('{"a": 1}', 0, 0, NOON - timedelta(seconds=1))
        assert [event.type for event in await inbox.events("theirs")] == ["created"]
        assert new.payload == "{}"
        assert await inbox.submit("mail.v1", 1, idempotency_key="k") == "second"
    theirs.close()


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_a_claim_walks_its_index_and_sorts_nothing(inbox, oldest_first):
    """Whatever the statistics say; so it stays quick with any backlog."""
    await inbox.submit_many([Intent(f"mail{n % 5}.v1", n) for n in range(2000)])
    await inbox.database.transaction(lambda c: c.execute("ANALYZE").rowcount)
    plans = []

    class Explained:
        def __init__(self, connection):
            self.connection = connection

        def execute(self, sql, parameters=()):
            if sql.strip().startswith("SELECT id, type"):
                plans.extend(row["detail"] for row in self.connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))
            return self.connection.execute(sql, parameters)

        def executemany(self, sql, parameters):
            return self.connection.executemany(sql, parameters)

    await inbox.database.transaction(
        lambda c: (
            inbox.store.claim(
                Explained(c), ClaimRequest("w", ["mail1.v1", "mail2.v1"], 10, 30.0, oldest_first=oldest_first)
            )
            and None
        )
    )

    index = "orchestrator_run_age" if oldest_first else "orchestrator_run_claim"
    assert all(index in plan for plan in plans)
    assert len(plans) == 2
    assert not any("TEMP B-TREE" in step for step in plans)
