"""Several processes on one file, and a worker that is killed."""

import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.inbox import Handlers, Inbox, Intent, Poller, State
from orchestrator.inbox.store.records import Hold, Settled, Succeeded

pytestmark = pytest.mark.anyio

WORKER = """
import sys, anyio
from orchestrator.inbox import Handlers, Inbox, Poller

async def work(run):
    print(run.payload, flush=True)
    if run.payload == "hang":
        await anyio.sleep_forever()

async def main():
    async with Inbox.open("sqlite://" + sys.argv[1]) as inbox:
        print("ready", flush=True)
        sys.stdin.readline()
        poller = Poller(inbox, Handlers().add("mail.v1", work), worker_id=sys.argv[2], concurrency=3)
        print("total", await poller.poll())

anyio.run(main)
"""


@pytest.fixture
def start(tmp_path):
    """Start a worker process on ``state.db``; it polls when it is given a line."""
    children = []

    def call(name):
        child = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(tmp_path / "state.db"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        children.append(child)
        assert child.stdout.readline() == "ready\n"
        return child

    yield call
    for child in children:
        child.kill()
        child.communicate()


def go(child):
    """Let it poll."""
    child.stdin.write("go\n")
    child.stdin.flush()


async def test_a_run_whose_worker_is_killed_is_run_again_and_completed_once(tmp_path, start):
    """After its lease; what the dead worker held is worth nothing any more."""
    time = datetime.now(UTC)
    async with Inbox.open(f"sqlite://{tmp_path}/state.db", now=lambda: time) as inbox:
        run_id = await inbox.submit("mail.v1", "hang")
        child = start("victim")
        go(child)
        assert child.stdout.readline() == "hang\n"
        child.send_signal(signal.SIGKILL)
        child.wait()

        async def work(run):
            return run.attempt

        poller = Poller(inbox, Handlers().add("mail.v1", work), worker_id="heir")
        too_early = await poller.poll()
        time += timedelta(minutes=2)
        in_time = await poller.poll()
        late = Settled(Hold(run_id, "victim", 1), Succeeded('"late"'))
        assert await inbox.database.transaction(lambda c: inbox.store.settle(c, [late])) == {late.hold}

        run = await inbox.get(run_id)
        assert (too_early, in_time) == (0, 1)
        assert (run.state, run.result, run.fence, run.attempt) == (State.SUCCEEDED, "2", 2, 1)
        history = [event.type for event in await inbox.events(run_id)]
        assert history == ["created", "leased", "started", "retried", "leased", "started", "succeeded"]


async def test_two_processes_on_one_file_share_the_work(tmp_path, start):
    """Each intent is handled once, by one of them."""
    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        await inbox.submit_many([Intent("mail.v1", f"n{n}") for n in range(200)])
        children = [start("one"), start("two")]
        for child in children:
            go(child)
        lines = [line for child in children for line in child.communicate(timeout=60)[0].splitlines()]

        handled = [line for line in lines if line.startswith("n")]
        assert sorted(handled) == sorted(f"n{n}" for n in range(200))
        assert [child.returncode for child in children] == [0, 0]
        assert (await inbox.stats()).counts == {("mail.v1", State.SUCCEEDED): 200}
