"""Tickers in several processes on one file, and one that is killed before its commit."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.cron import catch_up
from orchestrator.inbox import Inbox
from orchestrator.inbox.schedules.ticker import Ticker

pytestmark = pytest.mark.anyio

TICKER = """
import sys, time, anyio
from orchestrator.inbox import Inbox
from orchestrator.inbox.schedules.ticker import Ticker

async def main():
    async with Inbox.open("sqlite://" + sys.argv[1]) as inbox:
        print("ready", flush=True)
        sys.stdin.readline()
        ticker, store = Ticker(inbox, batch=3), inbox.schedules.store
        if sys.argv[2] == "hang":
            advance = store.advance

            def hang(connection, fires):
                advanced = advance(connection, fires)
                print("advanced", flush=True)
                sys.stdin.readline()
                return advanced

            store.advance = hang
        print(await ticker.tick())

anyio.run(main)
"""


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a ticker on ``state.db``; it ticks when it is given a line."""
    children: list[subprocess.Popen[str]] = []

    def call(how: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", TICKER, str(tmp_path / "state.db"), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[4],
        )
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        return child

    yield call
    for child in children:
        child.kill()
        child.communicate()


async def test_two_processes_fire_each_schedule_once(tmp_path, start, make_due):
    """Whichever of them comes first."""
    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        for _ in range(60):
            await inbox.schedules.create("a.v1", cron="0 0 1 1 *", misfire=catch_up(3))
        await make_due(inbox)
        children = [start("tick"), start("tick")]
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        made = [int(child.communicate(timeout=60)[0]) for child in children]

        keys = {run.idempotency_key for run in (await inbox.list(limit=1000)).runs}

    assert sum(made) == len(keys) == 60


async def test_a_ticker_that_is_killed_before_its_commit_leaves_nothing(tmp_path, start, make_due):
    """The next one fires all of it."""
    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        for _ in range(2):
            await inbox.schedules.create("a.v1", cron="0 0 1 1 *")
        await make_due(inbox)
        child = start("hang")
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "advanced\n"
        child.send_signal(signal.SIGKILL)
        child.wait()

        left = (await inbox.list()).runs
        made = await Ticker(inbox).tick()

    assert (left, made) == ([], 2)
