"""The stores' SQLite file: opening, sharing, closing, and every way in which it can refuse."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest

from longrun.attempts import SqliteAttempts, join
from longrun.checkpoint import Checkpoint, CheckpointUnreachable, SqliteCheckpoints
from longrun.failure.category import Category
from longrun.failure.classify import classify
from longrun.sqlite import Schema, SqliteFile
from longrun.sqlite.errors import (
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreNewer,
    StoreReadOnly,
    StoreUnusable,
)

pytestmark = pytest.mark.anyio

KEY = join("acme", "poll", "timeout")
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
THINGS = Schema("things", ("CREATE TABLE thing (name TEXT)",))


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Both backends in real time: threads are waited for."""
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


@pytest.fixture
async def file(path, anyio_backend):
    """A file with the table ``thing``."""
    opened = SqliteFile(path, THINGS, busy_timeout=0.3)
    yield opened
    await opened.close()


def insert(name):
    return lambda connection: connection.execute("INSERT INTO thing VALUES (?)", (name,))


def names(connection):
    return [name for (name,) in connection.execute("SELECT name FROM thing")]


async def test_both_stores_share_one_file(path):
    """With somebody else's tables beside theirs."""
    with sqlite3.connect(path) as mine:
        mine.execute("CREATE TABLE mine (id INTEGER)")
    mine.close()

    async with SqliteCheckpoints(path) as checkpoints, SqliteAttempts(path) as attempts:
        await checkpoints.save("poll", b"one")
        await attempts.increment(KEY, wait=1, not_before=4e9)

        assert await checkpoints.load("poll") == b"one"
        assert (await attempts.get(KEY)).count == 1


async def test_checkpoints_are_synced_and_attempts_are_not(path):
    """A power cut may cost a retry count, never a state that was called stored."""
    async with SqliteCheckpoints(path) as checkpoints, SqliteAttempts(path) as attempts:
        for store, level in ((checkpoints, 2), (attempts, 1)):
            pragmas = await store._file.read(
                lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
            )
            assert pragmas == ["wal", level]


async def test_without_a_block_it_is_opened_at_first_use(path):
    """Making a store touches nothing."""
    store = SqliteCheckpoints(path)
    assert not path.exists()

    await store.save("poll", b"one")

    assert path.exists()
    await store.aclose()


@pytest.mark.parametrize("nonsense", ["", ":memory:", None, 3])
async def test_a_path_that_is_none_is_refused_at_once(nonsense):
    """Memory has a store of its own."""
    with pytest.raises(ValueError, match="path of the attempts is"):
        SqliteAttempts(nonsense)


async def test_a_write_that_raises_leaves_nothing(file):
    """And the file goes on working."""

    def work(connection):
        insert("a")(connection)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await file.write(work)
    await file.write(insert("b"))

    assert await file.read(names) == ["b"]


async def test_a_file_that_is_no_database_is_left_untouched(path):
    """The error names it, and what to do."""
    path.write_text("dear diary")

    with pytest.raises(StoreUnusable, match=r"state\.db: the file does not begin as an SQLite database.*another path"):
        async with SqliteCheckpoints(path):
            pass

    assert path.read_text() == "dear diary"


async def test_a_damaged_database_is_left_untouched(path):
    """Its header is sound, the rest is not."""
    async with SqliteCheckpoints(path) as store:
        await store.save("poll", b"x" * 20_000)
    spoilt = path.read_bytes()[:100] + b"\xff" * 8000
    path.write_bytes(spoilt)

    with pytest.raises(StoreUnusable, match=r"state\.db: .*recover"):
        async with SqliteCheckpoints(path):
            pass

    assert path.read_bytes() == spoilt


async def test_a_folder_where_the_file_should_be_is_refused(tmp_path):
    """It cannot be opened."""
    with pytest.raises(StoreUnusable, match="give the path of a file"):
        async with SqliteCheckpoints(tmp_path):
            pass


async def test_a_file_where_the_folder_should_be_is_refused(tmp_path):
    """The folder cannot be made."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnusable, match="give the path of a file"):
        async with SqliteCheckpoints(tmp_path / "file/state.db"):
            pass


async def test_a_connection_that_may_not_write_says_so(file):
    """And where."""
    await file.read(lambda connection: connection.execute("PRAGMA query_only = ON"))

    with pytest.raises(StoreReadOnly, match=r"state\.db.*writable") as caught:
        await file.write(insert("a"))

    assert caught.value.permanent
    assert caught.value.where == file.where


async def test_a_full_disk_stores_nothing_and_goes_on_when_there_is_room(file):
    """The error names the path and the remedy."""
    pages = await file.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await file.read(lambda c: c.execute(f"PRAGMA max_page_count = {pages}").fetchall())

    with pytest.raises(StoreFull, match=r"state\.db.*full.*free space") as caught:
        await file.write(lambda c: [insert("x" * 5000)(c) for _ in range(10)])
    await file.read(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchall())
    await file.write(insert("a"))

    assert caught.value.retryable
    assert await file.read(names) == ["a"]


async def test_a_locked_file_is_told_after_the_busy_timeout_and_works_again(file, path):
    """Another process may hold it for a moment, not for ever."""
    await file.open()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreBusy, match=r"state\.db: database is locked; another process holds it") as caught:
        await file.write(insert("a"))
    assert await file.read(names) == []
    holder.execute("ROLLBACK")
    holder.close()
    await file.write(insert("b"))

    assert caught.value.retryable
    assert await file.read(names) == ["b"]


async def test_tables_of_a_newer_release_are_left_alone(path):
    """Both versions are named."""
    async with SqliteFileBlock(path, THINGS):
        pass
    newer = Schema("things", (*THINGS.steps, "ALTER TABLE thing ADD COLUMN size INTEGER"))
    async with SqliteFileBlock(path, newer) as file:
        await file.write(lambda c: c.execute("INSERT INTO thing VALUES ('a', 1)"))

    with pytest.raises(StoreNewer, match="things are at version 2, but this release knows version 1 only"):
        async with SqliteFileBlock(path, THINGS):
            pass

    async with SqliteFileBlock(path, newer) as file:
        assert await file.read(lambda c: c.execute("SELECT * FROM thing").fetchall()) == [("a", 1)]


async def test_tables_of_the_same_name_that_are_not_ours_are_told(path):
    """Nothing of the step stays."""
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE thing (theirs TEXT)")
    other.close()

    with pytest.raises(StoreUnusable, match="already exists"):
        async with SqliteFileBlock(path, THINGS):
            pass


async def test_a_closed_store_says_so(path):
    """Closing twice is no error; so is closing what was never used."""
    store = SqliteCheckpoints(path)
    await store.aclose()
    await store.aclose()

    with pytest.raises(StoreClosed, match="is closed"):
        await store.load("poll")


async def test_what_has_begun_is_finished_when_its_caller_is_cancelled(file):
    """The caller does not wait for it; the next operation does."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(connection):
        insert("old")(connection)
        begun.set()
        assert go_on.wait(10)

    async with anyio.create_task_group() as tg:
        tg.start_soon(file.write, slow)
        await anyio.to_thread.run_sync(begun.wait)
        tg.cancel_scope.cancel()
    go_on.set()
    await file.write(insert("new"))

    assert await file.read(names) == ["old", "new"]


async def test_what_waits_for_its_turn_is_not_begun_when_its_caller_is_cancelled(file):
    """So that it cannot come after what is newer."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(_connection):
        begun.set()
        assert go_on.wait(10)

    async with anyio.create_task_group() as tg:
        tg.start_soon(file.write, slow)
        await anyio.to_thread.run_sync(begun.wait)
        with anyio.move_on_after(0.05):
            await file.write(insert("withdrawn"))
        go_on.set()
    await file.write(insert("new"))

    assert await file.read(names) == ["new"]


async def test_an_operation_that_does_not_come_back_makes_the_others_fail_in_time(path, caplog, anyio_backend):
    """They say so instead of waiting for ever, and so does closing."""
    file = SqliteFile(path, THINGS, busy_timeout=0.2)
    begun, go_on = threading.Event(), threading.Event()

    def hangs(_connection):
        begun.set()
        assert go_on.wait(30)

    async with anyio.create_task_group() as tg:
        tg.start_soon(file.write, hangs)
        await anyio.to_thread.run_sync(begun.wait)
        tg.cancel_scope.cancel()
    with anyio.move_on_after(1) as limit, pytest.raises(StoreBusy, match="has not come back"):
        await file.read(names)
    await file.close()
    go_on.set()

    # Trio lends the turn until the thread comes back: there the caller's own limit ends the wait.
    assert limit.cancelled_caught == (anyio_backend == "trio")
    assert "was left open" in caplog.text


async def test_errors_of_the_store_reach_the_task_by_their_kind(path):
    """A locked file is tried again; a file that is no database is not."""
    path.write_text("dear diary")
    checkpoint: Checkpoint[str] = Checkpoint(SqliteCheckpoints(path), "poll")

    with pytest.raises(CheckpointUnreachable, match=r"'poll' could not be saved in .*another path") as caught:
        await checkpoint.save("state")

    assert isinstance(caught.value.__cause__, StoreError)
    assert classify(caught.value).category is Category.PERMANENT
    assert classify(StoreBusy("busy", str(path))).category is Category.SERVICE


@pytest.mark.parametrize("module", ["longrun.checkpoint", "longrun.attempts"])
def test_sqlite3_is_imported_when_a_file_is_opened(module):
    """Not for those who use none."""
    code = f"import sys, {module}; print('sqlite3' in sys.modules)"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert ran.stdout == "False\n"


REWRITING = """
import subprocess, sys
import anyio
from longrun.checkpoint import SqliteCheckpoints
from longrun.sqlite.errors import StoreFull

folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)

async def main():
    refused = 0
    async with SqliteCheckpoints(folder + "/state.db") as store:
        await store.save("poll", b"-" * 3200)
    async with SqliteCheckpoints(folder + "/state.db") as store:  # closing has brought all pages into the file
        for number in range(600):
            for _ in range(2):
                try:
                    await store.save("poll", b"%08d" % number * 400)
                    break
                except StoreFull:
                    refused += 1
        stored = await store.load("poll")
    print(stored[:8].decode(), refused > 0)

anyio.run(main)
"""


def _may_mount():
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*OWN_MOUNTS, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="needs user namespaces, to mount a small file system")
def test_a_log_that_fills_the_disk_is_worked_off(tmp_path):
    """One state saved 600 times is two megabytes of log and a few pages of data: the second attempt goes through."""
    ran = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-c", REWRITING, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.stdout, ran.returncode) == ("00000599 True\n", 0), ran.stderr


READ_ONLY = """
import subprocess, sys
import anyio
from longrun.checkpoint import SqliteCheckpoints
from longrun.sqlite.errors import StoreReadOnly

folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)

async def main():
    async with SqliteCheckpoints(folder + "/state.db") as store:
        await store.save("poll", b"one")
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    for name in ("state.db", "new.db", "new/state.db"):
        try:
            async with SqliteCheckpoints(f"{folder}/{name}"):
                print("opened")
        except StoreReadOnly as error:
            print(name in str(error), "make the file and its folder writable" in str(error))

anyio.run(main)
"""


@pytest.mark.skipif(not _may_mount(), reason="needs user namespaces, to mount a small file system")
def test_a_folder_that_refuses_writes_is_found_out_when_the_file_is_opened(tmp_path):
    """Not at the first save; a file that is there, one that is not, one in a folder that is not."""
    ran = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-c", READ_ONLY, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.stdout, ran.returncode) == ("True True\n" * 3, 0), ran.stderr


class SqliteFileBlock:
    """A file that is opened and closed by ``async with``."""

    def __init__(self, path, schema):
        self.file = SqliteFile(path, schema)

    async def __aenter__(self):
        await self.file.open()
        return self.file

    async def __aexit__(self, *error):
        await self.file.close()
