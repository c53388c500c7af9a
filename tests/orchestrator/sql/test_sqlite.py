"""The database port on a real SQLite file."""

import sqlite3
import threading

import anyio
import pytest

from orchestrator.sql import (
    DatabaseBusy,
    DatabaseClosed,
    DatabaseCorrupt,
    DatabaseReadOnly,
    DatabaseUnopenable,
    DiskFull,
    SqliteDatabase,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(tmp_path, anyio_backend):
    """A database with the table ``thing (id, name)``."""
    async with SqliteDatabase.open(tmp_path / "deep/er/state.db") as opened:
        await opened.migrate("things", ["CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)"])
        yield opened


def insert(connection, name="a"):
    connection.execute("INSERT INTO thing (name) VALUES (?)", (name,))


def names(connection):
    return [row["name"] for row in connection.execute("SELECT name FROM thing ORDER BY id")]


async def test_a_unit_of_work_is_stored_when_it_returns(database, tmp_path):
    """Another connection sees it at once; the folder was made."""
    await database.transaction(insert)

    with sqlite3.connect(tmp_path / "deep/er/state.db") as other:
        assert other.execute("SELECT name FROM thing").fetchall() == [("a",)]
    other.close()


async def test_a_unit_of_work_that_raises_leaves_nothing(database):
    """Its error reaches the caller as it is."""

    def work(connection):
        insert(connection)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await database.transaction(work)

    assert await database.read(names) == []


async def test_a_row_is_read_by_name_and_by_index(database):
    """Whichever reads better."""
    await database.transaction(insert)

    row = await database.read(lambda c: c.execute("SELECT id, name FROM thing").fetchone())

    assert (row[0], row["name"]) == (1, "a")


async def test_a_read_cannot_write(database):
    """It is refused, and later transactions may write again."""
    with pytest.raises(DatabaseReadOnly):
        await database.read(insert)
    await database.transaction(insert)

    assert await database.read(names) == ["a"]


async def test_completions_are_durable(database):
    """WAL with a sync at every commit, and foreign keys are kept."""

    def settings(connection):
        wanted = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in wanted]

    assert await database.transaction(settings) == ["wal", 2, 1, 5000]


async def test_units_of_work_that_come_together_take_turns(database):
    """No two are ever inside."""
    inside = 0

    def work(connection):
        nonlocal inside
        inside += 1
        assert inside == 1
        insert(connection)
        inside -= 1

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(database.transaction, work)

    assert len(await database.read(names)) == 50


async def test_a_unit_of_work_that_has_begun_is_finished_though_it_is_cancelled(database):
    """Cancellation is delivered after the commit; no transaction stays open."""
    begun = threading.Event()
    cancelled = threading.Event()

    def work(connection):
        begun.set()
        assert cancelled.wait(10)
        insert(connection)

    async with anyio.create_task_group() as group:
        group.start_soon(database.transaction, work)
        await anyio.to_thread.run_sync(begun.wait)
        group.cancel_scope.cancel()
        cancelled.set()

    assert await database.read(names) == ["a"]


async def test_a_violated_constraint_reaches_the_caller_as_it_is(database):
    """It speaks of the statement; the database is fine."""
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        await database.transaction(lambda c: [c.execute("INSERT INTO thing VALUES (1, 'x')") for _ in range(2)])

    assert await database.read(names) == []


async def test_a_full_disk_stores_nothing_and_goes_on_when_there_is_room(database):
    """The error is worth another try and names the path and the remedy."""
    pages = await database.transaction(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await database.transaction(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())

    with pytest.raises(DiskFull, match=r"state\.db.*full.*free space") as caught:
        await database.transaction(lambda c: [insert(c, "x" * 5000) for _ in range(10)])
    await database.transaction(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchall())
    await database.transaction(insert)

    assert caught.value.retryable
    assert await database.read(names) == ["a"]


async def test_a_file_that_refuses_writes_says_so(database):
    """SQLite's own refusal, as a file on a read-only mount gives it."""
    await database.transaction(lambda c: c.execute("PRAGMA query_only = ON").fetchall())

    with pytest.raises(DatabaseReadOnly, match=r"state\.db.*writable") as caught:
        await database.transaction(insert)

    assert caught.value.permanent


async def test_a_lock_of_another_program_is_worth_another_try(tmp_path):
    """After the busy timeout, not before."""
    async with SqliteDatabase.open(tmp_path / "state.db", busy_timeout=0.05) as database:
        other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(DatabaseBusy, match="another process is writing") as caught:
            await database.transaction(lambda c: c.execute("CREATE TABLE t (x)") and None)
        other.execute("ROLLBACK")
        other.close()
        await database.transaction(lambda c: c.execute("CREATE TABLE t (x)") and None)

    assert caught.value.retryable


async def test_a_file_that_another_program_writes_to_is_opened_and_read_meanwhile(tmp_path):
    """Whoever only looks needs no lock; who writes waits for it as always."""
    async with SqliteDatabase.open(tmp_path / "state.db") as database:
        await database.migrate("things", ["CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)"])
        await database.transaction(insert)
    other = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async with SqliteDatabase.open(tmp_path / "state.db", busy_timeout=0.05) as database:
        await database.migrate("things", ["CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)"])
        read = await database.read(names)
        patience = await database.read(lambda c: c.execute("PRAGMA busy_timeout").fetchone()[0])
        with pytest.raises(DatabaseBusy):
            await database.transaction(insert)
    other.close()

    assert (read, patience) == (["a"], 50)


@pytest.mark.parametrize("content", [b"not a database", b"x" * 8192])
async def test_a_foreign_file_is_refused_and_left_as_it_is(tmp_path, content):
    """A short one too, which SQLite itself would write over."""
    path = tmp_path / "state.db"
    path.write_bytes(content)

    with pytest.raises(DatabaseCorrupt, match=r"state\.db.*left untouched.*backup") as caught:
        async with SqliteDatabase.open(path):
            pass

    assert caught.value.permanent
    assert path.read_bytes() == content


async def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path):
    """Found when it is opened, not when its bad page is met."""
    path = tmp_path / "state.db"
    async with SqliteDatabase.open(path) as database:
        await database.migrate("things", ["CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)"])
        await database.transaction(lambda c: [insert(c, "x" * 500) for _ in range(200)])
    damaged = bytearray(path.read_bytes())
    damaged[4096 * 4 : 4096 * 6] = b"\xff" * 8192
    path.write_bytes(damaged)

    with pytest.raises(DatabaseCorrupt, match=r"state\.db") as caught:
        async with SqliteDatabase.open(path):
            pass

    assert path.read_bytes() == damaged
    assert "\n" not in str(caught.value)


async def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path):
    """With the path and what to give instead."""
    with pytest.raises(DatabaseUnopenable, match=f"{tmp_path}.*path of a file"):
        async with SqliteDatabase.open(tmp_path):
            pass


async def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    """With the path and what to give instead."""
    (tmp_path / "data").write_text("")

    with pytest.raises(DatabaseUnopenable, match=r"data/state\.db.*folder"):
        async with SqliteDatabase.open(tmp_path / "data/state.db"):
            pass


async def test_a_closed_database_says_so(tmp_path):
    """And nothing else happens."""
    async with SqliteDatabase.open(":memory:") as database:
        pass

    with pytest.raises(DatabaseClosed, match="async with"):
        await database.read(names)


async def test_memory_lives_as_long_as_its_block():
    """And takes no file."""
    async with SqliteDatabase.open(":memory:", exclusive=True) as database:
        await database.transaction(
            lambda c: c.execute("CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)") and None
        )
        await database.transaction(insert)

        assert await database.read(names) == ["a"]
