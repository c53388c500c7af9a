"""Numbered migrations."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.sql import MigrationFailed, SchemaNewer, SqliteDatabase
from orchestrator.sql.migrations import statements

pytestmark = pytest.mark.anyio

ONE = "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT); CREATE INDEX thing_name ON thing (name);"
TWO = "ALTER TABLE thing ADD COLUMN colour TEXT NOT NULL DEFAULT 'red';"


def columns(connection):
    return [row["name"] for row in connection.execute("PRAGMA table_info(thing)").fetchall()]


def versions(connection):
    rows = connection.execute("SELECT battery, version FROM orchestrator_schema ORDER BY battery, version").fetchall()
    return [tuple(row) for row in rows]


async def test_each_step_is_done_once(tmp_path):
    """Migrating again, or further, does what is missing and no more."""
    async with SqliteDatabase.open(tmp_path / "state.db") as database:
        await database.migrate("things", [ONE])
        await database.migrate("things", [ONE])
        await database.migrate("things", [ONE, TWO])

        assert await database.read(columns) == ["id", "name", "colour"]
        assert await database.read(versions) == [("things", 1), ("things", 2)]


async def test_batteries_count_for_themselves(tmp_path):
    """The version of one says nothing of another."""
    async with SqliteDatabase.open(tmp_path / "state.db") as database:
        await database.migrate("things", [ONE, TWO])
        await database.migrate("others", ["CREATE TABLE other (id INTEGER)"])

        assert await database.read(versions) == [("others", 1), ("things", 1), ("things", 2)]


async def test_a_newer_database_is_refused_untouched(tmp_path):
    """The error names the battery and both versions."""
    async with SqliteDatabase.open(tmp_path / "state.db") as database:
        await database.migrate("things", [ONE, TWO])

        with pytest.raises(SchemaNewer, match=r"'things'.*version 2.*version 1 only.*newer release") as caught:
            await database.migrate("things", [ONE])

        assert (caught.value.found, caught.value.known, caught.value.permanent) == (2, 1, True)
        assert await database.read(columns) == ["id", "name", "colour"]


async def test_a_step_that_fails_leaves_nothing_of_itself(tmp_path):
    """Its earlier statements are rolled back, the steps before it stay."""
    broken = "ALTER TABLE thing ADD COLUMN size INTEGER; CREATE TABLE thing (id INTEGER);"
    async with SqliteDatabase.open(tmp_path / "state.db") as database:
        with pytest.raises(MigrationFailed, match=r"migration 2 of 'things' failed.*already exists"):
            await database.migrate("things", [ONE, broken])

        assert await database.read(columns) == ["id", "name"]
        assert await database.read(versions) == [("things", 1)]


def test_a_script_is_split_at_the_ends_of_its_statements():
    """A trigger's body, a quoted semicolon and a last statement without one stay whole."""
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END;"

    found = list(statements(f"CREATE TABLE a (x TEXT DEFAULT ';'); {trigger} SELECT 3"))

    assert found == ["CREATE TABLE a (x TEXT DEFAULT ';');", trigger, "SELECT 3"]


MIGRATE = """
import anyio, sys
from orchestrator.sql import SqliteDatabase
steps = ["CREATE TABLE thing (id INTEGER PRIMARY KEY);"]
steps += [f"ALTER TABLE thing ADD COLUMN c{n} INTEGER" for n in range(20)]
async def main():
    async with SqliteDatabase.open(sys.argv[1]) as database:
        print("ready", flush=True)
        sys.stdin.readline()
        await database.migrate("things", steps)
anyio.run(main)
"""


@pytest.mark.slow
def test_processes_that_migrate_at_once_do_each_step_once(tmp_path):
    """Every one of them ends well, and the table has each column."""
    path = str(tmp_path / "state.db")
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, path],
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
