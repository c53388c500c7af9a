"""A database that another program made and filled is taken over as it is."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.inbox import Inbox, State
from orchestrator.sql import MigrationFailed, SchemaNewer
from tests.orchestrator.inbox.wire.conftest import as_json, in_a_thread
from tests.orchestrator.inbox.wire.foreign import Foreign

pytestmark = pytest.mark.anyio

TABLES = {
    "workflow_run": "id, type, payload, status, priority, run_at, idempotency_key, attempt, max_attempts, leased_by, "
    "lease_until, last_error, result, created_at, updated_at, deleted_at",
    "workflow_event": "id, workflow_id, event_type, data, created_at",
    "workflow_registry": "id, workflow_name, intent_type, runtime, is_enabled, description, created_at, updated_at, "
    "deleted_at",
    "workflow_schedule": "id, type, payload, schedule, timezone, next_run_at, last_run_at, enabled, priority, "
    "max_attempts, created_at, updated_at, deleted_at",
}

OURS_ON_RUNS = {
    "orchestrator_run_claim",
    "orchestrator_run_age",
    "orchestrator_run_future",
    "orchestrator_run_lease",
    "orchestrator_run_ended",
    "orchestrator_run_failed",
}


def contents(client):
    """All rows, in the columns that the other program knows."""
    return {table: client.rows(f"SELECT {columns} FROM {table} ORDER BY id") for table, columns in TABLES.items()}


def indexes(client, table):
    if client.sqlite:
        return {name for (name,) in client.rows("SELECT name FROM pragma_index_list(%s)", table)}
    found = client.rows("SELECT indexname FROM pg_indexes WHERE schemaname = 'workflow' AND tablename = %s", table)
    return {name for (name,) in found}


def structure(client):
    """Everything that a migration could change."""
    if client.sqlite:
        return client.rows("SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
    return [
        client.rows(
            "SELECT table_name, column_name, data_type, column_default, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'workflow' ORDER BY 1, 2"
        ),
        client.rows("SELECT indexdef FROM pg_indexes WHERE schemaname = 'workflow' ORDER BY 1"),
        client.rows("SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE conrelid <> 0 ORDER BY 1, 2"),
        client.rows("SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"),
    ]


def fill(client):
    """Runs in all states, with their events, deleted ones, and schedules of each kind; the ids by state."""
    later = datetime.now(UTC) + timedelta(hours=1)
    ids = {}
    ids["succeeded"] = client.submit("mail.v1", {"to": "ä"}, key="sent")
    client.succeed(client.claim("theirs", "mail.%")[0], {"ok": True})
    ids["failed"] = client.submit("mail.v1", [1, 2], max_attempts=1)
    client.fail(client.claim("theirs", "mail.%"), "no")
    ids["cancelled"] = client.submit("mail.v1", "text")
    client.cancel(ids["cancelled"])
    ids["leased"] = client.submit("mail.v1", 5)
    client.claim("theirs", "mail.%")
    ids["retried"] = client.submit("mail.v1", True)
    client.fail(client.claim("theirs", "mail.%"), "once")
    ids["deleted"] = client.submit("mail.v1", None)
    client.run("UPDATE workflow_run SET deleted_at = NOW WHERE id = %s", ids["deleted"])
    ids["later"] = client.submit("mail.v1", 1.5, run_at=later, priority=-3, max_attempts=7)
    ids["pending"] = client.submit("other.v1", {}, key="waiting")
    client.schedule("mail.v1", {"each": "hour"}, cron="0 * * * *", next_run_at=later, zone="Asia/Tokyo")
    paused = client.schedule("mail.v1", {}, next_run_at=later)
    client.run("UPDATE workflow_schedule SET enabled = %s WHERE id = %s", False, paused)
    client.run(
        "UPDATE workflow_schedule SET deleted_at = NOW WHERE id = %s", client.schedule("a", {}, next_run_at=later)
    )
    return ids


async def test_no_row_and_no_value_is_changed_by_the_migration(place, foreign):
    """Runs in all states, deleted ones, events, schedules and the seeds of the registry."""
    ids = fill(foreign)
    before = contents(foreign)

    async with place.inbox() as inbox:
        runs = {state: await inbox.get(ids[state]) for state in ids if state != "deleted"}
        events = [event.type for event in await inbox.events(ids["succeeded"])]

    assert contents(foreign) == before
    assert len(before["workflow_run"]) == 8
    assert [(run.fence, run.claims) for run in runs.values()] == [(0, 0)] * 7
    assert all(runs[state].state is state for state in State)
    assert (runs["later"].state, runs["later"].priority, runs["later"].max_attempts) == (State.PENDING, -3, 7)
    assert (runs["retried"].state, runs["retried"].attempt, runs["retried"].last_error) == (State.PENDING, 1, "once")
    assert events == ["created", "leased", "started", "succeeded"]


async def test_migrating_again_changes_nothing(place, foreign):
    """Also in a process that has not done it before."""
    fill(foreign)
    async with place.inbox():
        first, rows = structure(foreign), contents(foreign)

    async with place.inbox() as inbox:
        await inbox.migrate()

    assert structure(foreign) == first
    assert contents(foreign) == rows


async def test_a_foreign_database_has_our_indexes_and_none_that_is_redundant(place, foreign):
    """Each change of a run writes them all, so six of theirs are dropped; keys and constraints keep their names."""
    async with place.inbox():
        pass

    key = "sqlite_autoindex_workflow_run_2" if place.sqlite else "workflow_run_idempotency_key_key"
    primary = "sqlite_autoindex_workflow_run_1" if place.sqlite else "workflow_run_pkey"
    assert indexes(foreign, "workflow_run") == OURS_ON_RUNS | {key, primary}
    # On PostgreSQL the key itself leads to the events of a run; in SQLite it is the row, and costs nothing.
    assert indexes(foreign, "workflow_event") == {"orchestrator_event_run" if place.sqlite else "workflow_event_pkey"}
    assert "idx_workflow_schedule_next_run" in indexes(foreign, "workflow_schedule")


async def test_events_no_longer_hang_on_their_run(place, foreign):
    """An event of a run that was purged or moved is stored, so their best-effort writers never see an error."""
    async with place.inbox():
        foreign.event("00000000-0000-4000-8000-000000000001", "heartbeat")

    assert foreign.rows("SELECT count(*) FROM workflow_event") == [(1,)]


async def test_the_key_stays_unique_over_the_whole_table(place, foreign):
    """A partial index would break each of their submits, which name the bare column on conflict."""
    async with place.inbox() as inbox:
        first = await inbox.submit("mail.v1", 1, idempotency_key="one")
        await inbox.cancel(first)

        assert foreign.submit("other.v1", 2, key="one") == ""
        assert foreign.submit("other.v1", 2, key="two") != ""


async def test_columns_of_ours_have_defaults_for_writers_that_do_not_know_them(place, foreign):
    """A run and a registry line of theirs are stored without them."""
    async with place.inbox():
        run_id = foreign.submit("mail.v1", 1)

        assert foreign.rows("SELECT fence, claims, ready FROM workflow_run WHERE id = %s", run_id) == [(0, 0, True)]


async def test_their_own_migration_runs_again_after_ours(place, foreign, poll, inbox):
    """Their workers migrate whenever they start; it is no error, and the work goes on."""
    run_id = await inbox.submit("mail.v1", 1)

    foreign.migrate()
    await inbox.migrate()

    async def work(run):
        return run.payload

    assert await poll(work) == 1
    assert (await inbox.get(run_id)).state is State.SUCCEEDED
    assert await poll(work) == 0


async def test_a_database_of_a_newer_release_is_refused_untouched(place, foreign):
    """By each of its versions, with one error that names them."""
    async with place.inbox():
        pass
    foreign.run(
        "INSERT INTO orchestrator_schema (battery, version, applied_at) VALUES ('inbox', 99, %s)", "2030-01-01 00:00:00"
    )
    before = structure(foreign)

    with pytest.raises(SchemaNewer, match="99"):
        async with place.inbox():
            pytest.fail("it was opened")

    assert structure(foreign) == before


async def test_a_migration_that_fails_leaves_everything_as_it_was(place, foreign):
    """The other program goes on, and so does the migration when the obstacle is gone."""
    fill(foreign)
    foreign.run("ALTER TABLE workflow_run ADD COLUMN ready TEXT")
    rows, names = contents(foreign), indexes(foreign, "workflow_run")

    with pytest.raises(MigrationFailed, match="ready"):
        async with place.inbox():
            pytest.fail("it was opened")

    assert contents(foreign) == rows
    assert place.sqlite or indexes(foreign, "workflow_run") == names
    assert foreign.claim("theirs", "other.%") is not None
    foreign.run("ALTER TABLE workflow_run DROP COLUMN ready")
    async with place.inbox() as inbox:
        assert (await inbox.stats()).counts[("mail.v1", State.SUCCEEDED)] == 1


async def test_clients_go_on_writing_while_the_database_is_migrated(place, foreign):
    """They submit, claim and finish through it without an error, and nothing is lost."""
    done = threading.Event()
    counts = []
    writer, worker = place.foreign(), place.foreign(form="python")

    def produce():
        while not done.is_set() or len(counts) < 20:
            counts.append(writer.submit("mail.v1", len(counts), key=f"n{len(counts)}"))

    def work():
        while not done.is_set():
            claimed = worker.claim("theirs", "mail.%")
            if claimed is not None:
                worker.succeed(claimed[0], claimed[2])

    with in_a_thread(produce), in_a_thread(work):
        try:
            async with place.inbox() as inbox:
                await inbox.submit("mail.v1", "ours")
        finally:
            done.set()

    assert "" not in counts
    assert foreign.rows("SELECT count(*) FROM workflow_run") == [(len(counts) + 1,)]
    results = foreign.rows("SELECT payload, result FROM workflow_run WHERE status = 'succeeded'")
    assert all(as_json(payload) == as_json(result) for payload, result in results)


async def test_a_tick_of_theirs_and_the_migration_do_not_wait_for_each_other_in_a_circle(postgres_url):
    """The tick has read its schedules and goes on to store runs while the migration waits for its tables."""
    foreign, watcher = Foreign(postgres_url), Foreign(postgres_url)
    foreign.migrate()
    foreign.schedule("mail.v1", {}, next_run_at=datetime.now(UTC) - timedelta(minutes=1))
    reached, fired = threading.Event(), []

    def wait_for_the_migration():
        reached.set()
        while watcher.rows("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
            pass

    try:
        with in_a_thread(lambda: fired.extend(foreign.tick(wait_for_the_migration))):
            reached.wait(10)
            async with Inbox.open(postgres_url) as inbox:
                listed = await inbox.list()
    finally:
        foreign.close()
        watcher.close()

    assert [run.id for run in listed.runs] == fired
    assert len(fired) == 1


MIGRATE = """
import sys, anyio
from orchestrator.inbox import Inbox

async def main():
    print("ready", flush=True)
    sys.stdin.readline()
    async with Inbox.open(sys.argv[1]) as inbox:
        await inbox.submit("mail.v1", sys.argv[2])

anyio.run(main)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "theirs"), [("sqlite", True), ("postgres", True), ("postgres", False)], indirect=["place"]
)
def test_ten_processes_that_start_together_migrate_once(place, theirs):
    """A database of theirs, and an empty one; each of them submits, and none sees an error."""
    client = place.foreign()
    if theirs:
        client.migrate()
        fill(client)
    command = [sys.executable, "-c", MIGRATE, place.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    children = [subprocess.Popen([*command, str(n)], cwd=Path(__file__).parents[4], **pipes) for n in range(10)]
    try:
        for child in children:
            assert child.stdout.readline() == "ready\n"
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        said = [child.communicate(timeout=60)[1] for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()

    assert said == [""] * 10
    assert client.rows("SELECT count(*) FROM workflow_run") == [(18 if theirs else 10,)]
    steps = client.rows("SELECT version, count(*) FROM orchestrator_schema WHERE battery = 'inbox' GROUP BY version")
    assert {count for _, count in steps} == {1}
