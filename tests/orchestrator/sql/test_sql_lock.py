"""One service on one file."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.sql import DatabaseInUse, SqliteDatabase

pytestmark = pytest.mark.anyio

HOLD = """
import anyio, sys
from orchestrator.sql import SqliteDatabase
async def main():
    async with SqliteDatabase.open(sys.argv[1], exclusive=True) as database:
        await database.transaction(lambda c: c.execute("CREATE TABLE IF NOT EXISTS thing (id INTEGER)") and None)
        print("holding", flush=True)
        await anyio.sleep_forever()
anyio.run(main)
"""


@pytest.fixture
def holder(tmp_path):
    """A process of its own that holds the lock of ``state.db``."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "state.db")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdout.readline() == "holding\n"
    yield child
    child.kill()
    child.communicate()


async def test_a_second_start_is_told_who_holds_the_file(tmp_path, holder):
    """The error names the process, the database and the lock."""
    with pytest.raises(
        DatabaseInUse, match=rf"state\.db is in use: process {holder.pid} holds .*state\.db\.lock"
    ) as seen:
        async with SqliteDatabase.open(tmp_path / "state.db", exclusive=True):
            pass

    assert seen.value.pid == holder.pid
    assert seen.value.permanent


async def test_a_name_that_leads_to_the_same_file_is_no_way_around(tmp_path, holder):
    """The lock belongs to the file, not to the link."""
    os.symlink(tmp_path / "state.db", tmp_path / "link.db")

    with pytest.raises(DatabaseInUse):
        async with SqliteDatabase.open(tmp_path / "link.db", exclusive=True):
            pass


async def test_producers_share_the_file_of_a_running_service(tmp_path, holder):
    """They open it without the lock and write."""
    async with SqliteDatabase.open(tmp_path / "state.db") as database:
        count = await database.transaction(lambda c: c.execute("INSERT INTO thing VALUES (1)").rowcount)

    assert count == 1


async def test_a_lock_of_a_killed_process_is_no_obstacle(tmp_path, holder):
    """The operating system let go of it."""
    holder.send_signal(signal.SIGKILL)
    holder.wait()

    async with SqliteDatabase.open(tmp_path / "state.db", exclusive=True) as database:
        tables = await database.read(lambda c: [row[0] for row in c.execute("SELECT name FROM sqlite_master")])

    assert tables == ["thing"]
    assert os.path.exists(tmp_path / "state.db.lock")  # noqa: ASYNC240 - a look at a local file


async def test_a_closed_service_can_be_opened_again(tmp_path):
    """The lock ends with the block, in the same process too."""
    async with SqliteDatabase.open(tmp_path / "state.db", exclusive=True):
        with pytest.raises(DatabaseInUse):
            async with SqliteDatabase.open(tmp_path / "state.db", exclusive=True):
                pass

    async with SqliteDatabase.open(tmp_path / "state.db", exclusive=True) as database:
        assert repr(database) == f"<SqliteDatabase {tmp_path}/state.db>"
