"""Stores in real processes: one that is killed while it writes, two that write one file."""

import subprocess
import sys
from pathlib import Path

import pytest

from longrun.attempts import SqliteAttempts, join, prefix
from longrun.checkpoint import Checkpoint, SqliteCheckpoints

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

WRITER = """
import itertools, sys
import anyio
from longrun.attempts import SqliteAttempts, join
from longrun.checkpoint import Checkpoint, SqliteCheckpoints

path, name, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])

async def main():
    async with SqliteCheckpoints(path) as checkpoints, SqliteAttempts(path) as attempts:
        checkpoint = Checkpoint(checkpoints, name, interval=0)
        for number in itertools.count(1) if rounds == 0 else range(1, rounds + 1):
            saved = await checkpoint.save({"number": number, "load": [number] * 2000})
            own = await attempts.increment(join("acme", name, "timeout"), wait=number, not_before=4e9 + number)
            await attempts.increment(join("acme", "shared", "timeout"), wait=1, not_before=4e9)
            print(number, saved.name, own, flush=True)

anyio.run(main, backend=sys.argv[4])
"""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    """Both backends in real time: processes are waited for."""
    return request.param


@pytest.fixture
def start(tmp_path, anyio_backend):
    """Start a process that writes both stores of ``state.db``, so many rounds or until it is killed (0)."""
    children = []

    def call(name, rounds=0):
        command = [sys.executable, "-c", WRITER, str(tmp_path / "state.db"), name, str(rounds), anyio_backend]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])
        children.append(child)
        return child

    yield call
    for child in children:
        child.kill()
        child.wait()
        child.stdout.close()


async def test_a_process_that_is_killed_while_it_writes_loses_nothing_it_was_told(tmp_path, start):
    """The next one finds a whole state, at least the last that was called stored; three times over."""
    told = 0
    for life in range(3):
        child = start("poll")
        for _ in range(20 + 7 * life):
            number, saved, own = child.stdout.readline().split()
        child.kill()
        rest = [line.split() for line in child.communicate()[0].splitlines() if line.count(" ") == 2]
        number, saved, own = [[number, saved, own], *rest][-1]
        assert saved == "PERSISTED"

        async with SqliteCheckpoints(tmp_path / "state.db") as checkpoints:
            checkpoint: Checkpoint[dict] = Checkpoint(checkpoints, "poll")
            state = await checkpoint.load()
        async with SqliteAttempts(tmp_path / "state.db") as attempts:
            kept = await attempts.get(join("acme", "poll", "timeout"))

        assert state["number"] in (int(number), int(number) + 1)
        assert state["load"] == [state["number"]] * 2000
        assert kept.count in (int(own), int(own) + 1)
        assert kept.count > told  # counts go on from life to life
        assert kept.not_before == 4e9 + kept.last_wait
        told = kept.count


async def test_two_processes_write_one_file(tmp_path, start):
    """Also when both make it at the same time: no increment is lost, and each keeps its own state."""
    children = [start(name, 60) for name in ("one", "two")]

    for child in children:
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        assert out.splitlines()[-1] == "60 PERSISTED 60"

    async with SqliteCheckpoints(tmp_path / "state.db") as checkpoints, SqliteAttempts(tmp_path / "state.db") as kept:
        for name in ("one", "two"):
            checkpoint: Checkpoint[dict] = Checkpoint(checkpoints, name)
            assert (await checkpoint.load())["number"] == 60
        counts = {key: attempts.count for key, attempts in (await kept.load(prefix("acme"))).items()}
    assert counts == {"acme/one/timeout": 60, "acme/two/timeout": 60, "acme/shared/timeout": 120}
