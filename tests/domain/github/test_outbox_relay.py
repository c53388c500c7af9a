"""The relay between outbox and inbox, in one real database."""

import json
import logging
from dataclasses import replace

import pytest

from domain.github.adapters.issue_store import SqlIssues
from domain.github.adapters.outbox_store import SqlOutbox
from domain.github.issue_poller import ISSUE_CHANGED
from domain.github.outbox_relay import ATTEMPTS, BATCH, KEEP, OutboxRelay
from orchestrator.inbox import Inbox

pytestmark = pytest.mark.anyio


@pytest.fixture
async def inbox(database):
    """The real inbox in the same database."""
    opened = Inbox.over(database)
    await opened.migrate()
    return opened


@pytest.fixture
def relay(database, inbox):
    """The relay over the real parts."""
    return OutboxRelay(database, SqlIssues(), SqlOutbox(), inbox)


@pytest.fixture
def emit(database, repository, new_issue):
    """Stores issues with these numbers and emits an event for each."""

    async def do(*numbers, topic=ISSUE_CHANGED, store=True, now=None, **changes):
        issues = [new_issue(number, **changes) for number in numbers]
        outbox = SqlOutbox() if now is None else SqlOutbox(now)

        def work(db):
            if store:
                SqlIssues().save_issues(db, repository.id, issues)
            outbox.emit(db, repository.id, topic, issues)

        await database.transaction(work)

    return do


async def intents(inbox):
    """All runs, oldest first."""
    return sorted((await inbox.list()).runs, key=lambda run: run.id)


def subject(run):
    """The payload as the handler will see it."""
    return json.loads(run.payload)


async def outbox(database):
    """Number, attempts, and what became of each row."""
    fate = "CASE WHEN processed_at IS NOT NULL THEN 'done' WHEN dead_at IS NOT NULL THEN 'dead' ELSE 'pending' END"
    sql = f"SELECT number, attempts, {fate}, last_error FROM github_outbox ORDER BY id"
    return await database.read(lambda db: [tuple(row) for row in db.execute(sql)])


async def test_a_row_becomes_one_intent_and_is_acknowledged(relay, emit, inbox, database, repository, new_run):
    """The intent names the issue; its key is the issue in this version."""
    await emit(7)

    await relay.relay(repository, new_run())

    (run,) = await intents(inbox)
    assert run.type == "github.issue.explain.v1"
    assert subject(run)["repository"] == "octocat/hello"
    assert subject(run)["number"] == 7
    assert run.idempotency_key.startswith("github.issue:1007:2026-01-01T00:00:00Z")
    assert await outbox(database) == [(7, 1, "done", None)]


async def test_a_batch_has_twenty_rows_oldest_first(relay, emit, inbox, repository, new_run):
    """The rest comes with the next tick."""
    await emit(*range(1, BATCH + 6))

    await relay.relay(repository, new_run())
    first = await intents(inbox)
    await relay.relay(repository, new_run())

    assert [subject(run)["number"] for run in first] == list(range(1, BATCH + 1))
    assert len(await intents(inbox)) == BATCH + 5


async def test_a_crash_between_submit_and_acknowledge_leaves_neither(emit, inbox, database, repository, new_run):
    """Both are in one transaction, so the next tick hands over once."""

    class Crashing(SqlOutbox):
        def acknowledge(self, connection, row):
            raise RuntimeError("the power went")

    await emit(7)

    with pytest.raises(RuntimeError):
        await OutboxRelay(database, SqlIssues(), Crashing(), inbox).relay(repository, new_run())
    assert await intents(inbox) == []
    await OutboxRelay(database, SqlIssues(), SqlOutbox(), inbox).relay(repository, new_run())

    assert len(await intents(inbox)) == 1


async def test_an_intent_outlives_an_outage_of_hours(relay, emit, inbox, repository, new_run):
    """It is tried again after 1, 4, 9, ... minutes, which must come to more than a bad night of the forge."""
    await emit(1)

    await relay.relay(repository, new_run())

    run = (await intents(inbox))[0]
    assert sum(60 * failures**2 for failures in range(1, run.max_attempts)) > 8 * 3600


async def test_the_same_version_emitted_twice_is_one_intent(relay, emit, inbox, database, repository, new_run):
    """The key holds across rows, restarts and replays."""
    await emit(7)
    await emit(7)

    await relay.relay(repository, new_run())

    assert len(await intents(inbox)) == 1
    assert [row[2] for row in await outbox(database)] == ["done", "done"]


async def test_a_later_version_is_another_intent(relay, emit, inbox, repository, new_run):
    """The issue changed: whoever handles it looks again."""
    await emit(7)
    await emit(7, updated_at="2026-01-02T00:00:00Z")

    await relay.relay(repository, new_run())

    assert len(await intents(inbox)) == 2


async def test_twenty_five_poison_rows_do_not_block_the_next(relay, emit, inbox, database, repository, new_run, caplog):
    """Each is marked dead with its reason at its first attempt."""
    await emit(*range(1, 14), topic="nobody.knows")
    await emit(*range(101, 113), store=False)
    await emit(500)

    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            await relay.relay(repository, new_run())

    assert [subject(run)["number"] for run in await intents(inbox)] == [500]
    kept = await outbox(database)
    assert [row[1:3] for row in kept] == [(1, "dead")] * 25 + [(1, "done")]
    assert "unknown topic 'nobody.knows'" in kept[0][3]
    assert "octocat/hello#101 is not stored" in kept[13][3]
    assert [record.message for record in caplog.records] == ["outbox.row_dead"] * 25


async def test_a_row_that_the_inbox_refuses_waits_behind_the_others_and_dies_in_the_end(
    emit, database, repository, new_run, new_issue
):
    """A refused value has written nothing; fresh rows are not held up by it."""
    small = Inbox.over(database, payload_limit=10)
    await small.migrate()
    relay = OutboxRelay(database, SqlIssues(), SqlOutbox(), small)
    await emit(7)

    fates = []
    for _ in range(ATTEMPTS):
        await relay.relay(repository, new_run())
        fates.append((await outbox(database))[0][1:3])

    assert fates == [(1, "pending"), (2, "pending"), (3, "pending"), (4, "pending"), (5, "dead")]
    assert await intents(small) == []


async def test_rows_of_other_repositories_are_left_alone(relay, emit, inbox, repository, new_run):
    """Each tenant relays its own."""
    await emit(7)

    await relay.relay(replace(repository, id=repository.id + 1), new_run())

    assert await intents(inbox) == []


async def test_acknowledged_rows_are_removed_after_a_week(database, emit, inbox, repository, new_run):
    """In the same transaction, a few at a time."""
    now = 1_000_000.0
    relay = OutboxRelay(database, SqlIssues(), SqlOutbox(lambda: now), inbox)
    await emit(1)
    await relay.relay(repository, new_run())

    now += KEEP + 1
    await emit(2)
    await relay.relay(repository, new_run())

    assert [row[0] for row in await outbox(database)] == [2]
