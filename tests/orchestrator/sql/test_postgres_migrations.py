"""Numbered migrations on PostgreSQL."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from orchestrator.sql import AccessDenied, DatabaseBusy, MigrationFailed, SchemaNewer, StateDatabase
from orchestrator.sql.postgres import PostgresDatabase

pytestmark = pytest.mark.anyio

ONE = "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX thing_name ON thing (name);"
TWO = "ALTER TABLE thing ADD COLUMN colour TEXT NOT NULL DEFAULT 'red; -- 100% ?';"


def columns(connection):
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'thing' ORDER BY ordinal_position"
    )
    return [row[0] for row in rows]


def versions(connection):
    return [tuple(row) for row in connection.execute("SELECT battery, version FROM orchestrator_schema ORDER BY 1, 2")]


async def test_each_step_is_done_once(postgres_url):
    """Migrating again, or further, does what is missing and no more."""
    async with PostgresDatabase.open(postgres_url) as database:
        await database.migrate("things", [ONE])
        await database.migrate("things", [ONE])
        await database.migrate("things", [ONE, TWO])
        await database.migrate("others", [])

        assert await database.read(columns) == ["id", "name", "colour"]
        assert await database.read(versions) == [("things", 1), ("things", 2)]


async def test_schemas_of_one_database_count_for_themselves(postgres_url):
    """Two services share a database and no table."""
    for schema in ("one", "two"):
        async with PostgresDatabase.open(f"{postgres_url}?schema={schema}") as database:
            await database.migrate("things", [ONE])

            assert await database.read(versions) == [("things", 1)]


async def test_a_newer_database_is_refused_untouched(postgres_url):
    """The error names the battery, both versions and the server."""
    async with PostgresDatabase.open(postgres_url) as database:
        await database.migrate("things", [ONE, TWO])

        with pytest.raises(SchemaNewer, match=r"'things' tables in postgresql://.*version 2.*version 1 only") as caught:
            await database.migrate("things", [ONE])

        assert (caught.value.found, caught.value.known, caught.value.permanent) == (2, 1, True)
        assert await database.read(columns) == ["id", "name", "colour"]


async def test_a_step_that_fails_leaves_nothing_of_itself(postgres_url):
    """Its earlier statements are rolled back, the steps before it stay."""
    broken = "ALTER TABLE thing ADD COLUMN size INTEGER; CREATE TABLE thing (id INTEGER);"
    async with PostgresDatabase.open(postgres_url) as database:
        with pytest.raises(MigrationFailed, match=r"migration 2 of 'things' failed.*already exists"):
            await database.migrate("things", [ONE, broken])

        assert await database.read(columns) == ["id", "name"]
        assert await database.read(versions) == [("things", 1)]


async def test_a_schema_that_an_administrator_made_is_enough(postgres_url):
    """A user who may not create schemas uses it; without it the missing right is told."""
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute("DO $$ BEGIN CREATE ROLE longrun_guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        admin.execute('CREATE SCHEMA ready AUTHORIZATION "longrun_guest"')
    guest = postgres_url.replace("//postgres@", "//longrun_guest@")

    async with PostgresDatabase.open(f"{guest}?schema=ready") as database:
        await database.migrate("things", [ONE])
        assert await database.read(versions) == [("things", 1)]
    async with PostgresDatabase.open(f"{guest}?schema=missing") as database:
        with pytest.raises(AccessDenied, match=r"longrun_guest@.*permission denied.*grant"):
            await database.migrate("things", [ONE])


async def test_a_step_does_not_wait_for_ever_for_a_lock(postgres_url, monkeypatch):
    """Everybody else would wait behind it; it is worth another try."""
    monkeypatch.setattr("orchestrator.sql.postgres.migrations._LOCK_TIMEOUT", "50ms")
    async with PostgresDatabase.open(postgres_url) as database:
        await database.migrate("things", [ONE])
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT * FROM workflow.thing").fetchall()

            with pytest.raises(DatabaseBusy, match="lock timeout"):
                await database.migrate("things", [ONE, TWO])

        await database.migrate("things", [ONE, TWO])
        assert await database.read(columns) == ["id", "name", "colour"]


MIGRATE = """
import anyio, sys
from orchestrator.sql import open_database
steps = ["CREATE TABLE thing (id INTEGER PRIMARY KEY);"]
steps += [f"ALTER TABLE thing ADD COLUMN c{n} INTEGER" for n in range(20)]
async def one(url, go):
    async with open_database(url, size=1) as database:
        await go.wait()
        await database.migrate("things", steps)
async def main():
    go = anyio.Event()
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(one, sys.argv[1], go)
        await anyio.to_thread.run_sync(lambda: (print("ready", flush=True), sys.stdin.readline()))
        go.set()
anyio.run(main)
"""


@pytest.mark.slow
def test_processes_that_migrate_at_once_do_each_step_once(postgres_url):
    """Three processes of ten databases each, into a schema that is not there yet."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, postgres_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(3)
    ]

    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()

    assert [child.communicate(timeout=60) and child.returncode for child in children] == [0, 0, 0]


async def test_the_state_of_a_service_is_on_either_database(postgres_url, tmp_path):
    """The URL alone decides; steps that differ are given by dialect."""
    steps = {
        "sqlite": ["CREATE TABLE thing (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)"],
        "postgresql": ["CREATE TABLE thing (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text)"],
    }

    def work(connection):
        connection.execute("INSERT INTO thing (name) VALUES (?)", ("a",))
        return [row["name"] for row in connection.execute("SELECT name FROM thing WHERE id = :id", {"id": 1})]

    for url, dialect in ((f"sqlite://{tmp_path}/state.db", "sqlite"), (postgres_url, "postgresql")):
        state = StateDatabase(url, {"things": steps})
        async with state as database:
            assert (await database.transaction(work), database.dialect) == (["a"], dialect)


def test_a_battery_without_steps_for_the_database_is_refused(postgres_url):
    """When the service is built, not when it runs."""
    with pytest.raises(ValueError, match="battery 'things' has no migrations for postgresql, only for sqlite"):
        StateDatabase(postgres_url, {"things": {"sqlite": [ONE]}})


async def test_services_share_a_server(postgres_url):
    """The lock of a service is of SQLite's files."""
    async with StateDatabase(postgres_url), StateDatabase(postgres_url) as second:
        assert await second.read(lambda c: c.execute("SELECT 1").fetchone()[0]) == 1
