"""A disk that is full, and a database that refuses writes: told clearly, nothing lost, and over when it is over."""

import logging
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psycopg
import pytest

from orchestrator.inbox import Handlers, Inbox, Poller, State
from orchestrator.sql import DatabaseReadOnly, DiskFull, ServerReadOnly

ROOT = Path(__file__).parents[4]
OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
LARGE = "x" * 100_000

#: So short that many of them pass while the trouble lasts.
LEASE = 0.3


class Full:
    """SQLite on a disk of which every page is used."""

    error = DiskFull
    told = "state.db.*full.*free space"

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def begin(self) -> None:
        """No page more."""
        pages = await self.inbox.database.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
        await self._say(f"PRAGMA max_page_count = {pages}")

    async def end(self) -> None:
        """As many as it wants."""
        await self._say("PRAGMA max_page_count = 100000")

    async def _say(self, statement: str) -> None:
        await self.inbox.database.transaction(lambda c: c.execute(statement).fetchall())


class ReadOnlyFile(Full):
    """SQLite that refuses to write, as it does on a file system that was mounted again for reading only."""

    error = DatabaseReadOnly
    told = "state.db.*readonly.*writable"

    async def begin(self) -> None:
        """Nothing is written."""
        await self._say("PRAGMA query_only = ON")

    async def end(self) -> None:
        """A read leaves it writable."""
        await self.inbox.database.read(lambda c: None)


class ReadOnlyServer(Full):
    """A server that is told to be so."""

    error = ServerReadOnly
    told = "postgresql://.*read-only.*primary"

    def __init__(self, inbox: Inbox, url: str) -> None:
        super().__init__(inbox)
        self.url = url

    async def begin(self) -> None:
        """For all sessions."""
        self._set("on")

    async def end(self) -> None:
        """The same."""
        self._set("off")

    def _set(self, value: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")
            while connection.execute("SHOW default_transaction_read_only").fetchone() != (value,):
                pass


@pytest.fixture(params=["full disk", "read-only file", "read-only server"])
def kind(request):
    return request.param


@pytest.fixture
def opened(kind, tmp_path, request):
    """An inbox, and the trouble that it is going to have."""
    url = f"sqlite://{tmp_path}/state.db"
    if kind == "read-only server":
        url = request.getfixturevalue("postgres_server")().url()

    @asynccontextmanager
    async def open_():
        async with Inbox.open(url) as inbox:
            if kind == "read-only server":
                yield inbox, ReadOnlyServer(inbox, url)
            else:
                yield inbox, (Full if kind == "full disk" else ReadOnlyFile)(inbox)

    return open_


@pytest.mark.anyio
async def test_a_submit_is_refused_with_one_clear_error_and_nothing_is_stored(opened):
    """For one and for many; with the same key it is stored later."""
    async with opened() as (inbox, trouble):
        await inbox.submit("disk.v1", 1)
        await trouble.begin()

        with pytest.raises(trouble.error, match=trouble.told):
            await inbox.submit("disk.v1", LARGE, idempotency_key="k")
        with pytest.raises(trouble.error, match=trouble.told):
            await inbox.database.transaction(lambda c: inbox.submit_in(c, "disk.v1", LARGE, idempotency_key="k"))

        await trouble.end()
        assert len((await inbox.list()).runs) == 1
        stored = await inbox.submit("disk.v1", LARGE, idempotency_key="k")
        assert not stored.existed
        assert len((await inbox.list()).runs) == 2


@pytest.mark.anyio
@pytest.mark.slow
async def test_outcomes_are_kept_while_nothing_can_be_written_and_stored_when_it_can(opened, caplog):
    """For many leases; each handler works once, the poller goes on by itself, and what comes later is done."""
    caplog.set_level(logging.WARNING)
    work_done, goes_on, is_late = [], anyio.Event(), anyio.Event()
    began = anyio.Semaphore(0)

    async def work(run):
        work_done.append(run.payload)
        if isinstance(run.payload, int):
            began.release()
            await goes_on.wait()
        else:
            is_late.set()
        return LARGE

    async with opened() as (inbox, trouble):
        ids = [await inbox.submit("disk.v1", number) for number in range(5)]
        poller = Poller(inbox, Handlers().add("disk.v1", work), lease=LEASE, poll_interval=1000)
        with anyio.fail_after(40):
            async with anyio.create_task_group() as tg:
                tg.start_soon(poller.run)
                for _ in range(5):
                    await began.acquire()
                await trouble.begin()
                goes_on.set()
                while caplog.text.count("inbox.poll_failed") < 5:  # noqa: ASYNC110 - nobody is told of what is logged
                    await anyio.sleep(0.01)
                await trouble.end()
                late = await inbox.submit("disk.v1", "late")
                await is_late.wait()
                while (await inbox.get(late)).state is not State.SUCCEEDED:
                    pass
                poller.stop()
        runs = [await inbox.get(run_id) for run_id in ids]

    assert [(run.state, run.fence, run.attempt) for run in runs] == [(State.SUCCEEDED, 1, 0)] * 5
    assert sorted(work_done, key=str) == [0, 1, 2, 3, 4, "late"]
    assert "intent.outcome_lost" not in caplog.text
    assert poller.statistics.errors[trouble.error.__name__] >= 5


ON_A_SMALL_DISK = """
import logging, os, subprocess, sys
import anyio
from orchestrator.inbox import Handlers, Inbox, Poller, State
from orchestrator.sql import DiskFull

folder, backend = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
ballast = folder + "/ballast"

def fill():
    with open(ballast, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass

async def main():
    done, refused = [], 0
    began, goes_on = anyio.Semaphore(0), anyio.Event()

    async def work(run):
        done.append(run.id)
        began.release()
        await goes_on.wait()
        return "x" * 20000

    async with Inbox.open("sqlite://" + folder + "/state.db") as inbox:
        ids = [await inbox.submit("disk.v1", n) for n in range(8)]
        poller = Poller(inbox, Handlers().add("disk.v1", work), lease=0.5, poll_interval=0.5)
        async with anyio.create_task_group() as tg:
            tg.start_soon(poller.run)
            for _ in ids:
                await began.acquire()
            fill()
            goes_on.set()
            while poller.statistics.errors["DiskFull"] < 5:
                try:
                    ids.append(await inbox.submit("disk.v1", "x" * 20000))
                except DiskFull:
                    refused += 1
                await anyio.sleep(0.05)
            os.remove(ballast)
            ids.append(await inbox.submit("disk.v1", "late"))
            for id_ in ids:
                while (await inbox.get(id_)).state is not State.SUCCEEDED:
                    await anyio.sleep(0.05)
            poller.stop()
        assert len((await inbox.list()).runs) == len(ids)
    print(refused > 0, sorted(done) == sorted(ids))

anyio.run(main, backend=backend)
"""


ON_A_READ_ONLY_MOUNT = """
import subprocess, sys
import anyio
from orchestrator.inbox import Inbox
from orchestrator.sql import SqlError

folder, backend = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)

async def submit():
    async with Inbox.open("sqlite://" + folder + "/state.db") as inbox:
        await inbox.submit("disk.v1", 1)
        return len((await inbox.list()).runs)

async def main():
    await submit()
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    try:
        await submit()
    except SqlError as error:
        print(type(error).__name__, "writable" in str(error), folder in str(error))
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    print(await submit())

anyio.run(main, backend=backend)
"""


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*OWN_MOUNTS, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.skipif(not _may_mount(), reason="needs user namespaces, to mount a small file system")
def test_a_worker_on_a_disk_that_is_really_full_loses_and_repeats_nothing(tmp_path, backend):
    """Two megabytes, filled up under it for many leases, then emptied."""
    ran = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-c", ON_A_SMALL_DISK, str(tmp_path), backend],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.stdout, ran.returncode) == ("True True\n", 0), ran.stderr
    assert "intent.outcome_lost" not in ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.skipif(not _may_mount(), reason="needs user namespaces, to mount a small file system")
def test_a_file_on_a_mount_that_became_read_only_is_refused_when_it_is_opened(tmp_path, backend):
    """With what is to be done about it; when that is done, everything is as it was."""
    ran = subprocess.run(
        [*OWN_MOUNTS, sys.executable, "-c", ON_A_READ_ONLY_MOUNT, str(tmp_path), backend],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ran.stdout, ran.returncode) == ("DatabaseReadOnly True True\n2\n", 0), ran.stderr
