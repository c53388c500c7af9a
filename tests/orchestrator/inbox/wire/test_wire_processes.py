"""Workers of both programs on one backlog, each a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.inbox import Intent, State
from tests.orchestrator.inbox.wire import foreign as foreign_program

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

OURS = """
import json, sys, anyio
from orchestrator.inbox import Handlers, Inbox, Poller

async def work(run):
    print(json.dumps(run.payload), flush=True)
    return {"by": "ours"}

async def main():
    async with Inbox.open(sys.argv[1]) as inbox:
        print("ready", flush=True)
        sys.stdin.readline()
        poller = Poller(inbox, Handlers().add("mail.v1", work), worker_id=sys.argv[2], concurrency=5)
        while True:
            await poller.poll()
            left = await inbox.list(state="pending", limit=1), await inbox.list(state="leased", limit=1)
            if not any(page.runs for page in left):
                return
            poller = Poller(inbox, Handlers().add("mail.v1", work), worker_id=sys.argv[2], concurrency=5)

anyio.run(main)
"""


@pytest.fixture
def start(place):
    """Start a worker of one of the programs; it works when it is given a line."""
    children = []

    def call(whose, name):
        script = (
            ["-c", OURS, place.url, name] if whose == "ours" else [foreign_program.__file__, place.url, name, "mail.%"]
        )
        child = subprocess.Popen(
            [sys.executable, *script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[4],
        )
        children.append(child)
        assert child.stdout.readline() == "ready\n"
        return child

    yield call
    for child in children:
        child.kill()
        child.communicate()


async def test_workers_of_both_programs_share_a_backlog_and_run_each_intent_once(foreign, inbox, start):
    """Two of each, on what both submitted: none is lost, none is run twice, and each worker has its share."""
    await inbox.submit_many([Intent("mail.v1", n) for n in range(150)])
    for n in range(150, 300):
        foreign.submit("mail.v1", n)
    children = [start("ours", "ours1"), start("ours", "ours2"), start("theirs", "theirs1"), start("theirs", "theirs2")]

    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=60) for child in children]

    assert [error for _, error in said] == [""] * 4
    done = [json.loads(line) for lines, _ in said for line in lines.splitlines()]
    assert sorted(done) == list(range(300))
    assert (await inbox.stats()).counts == {("mail.v1", State.SUCCEEDED): 300}
    by = foreign.rows("SELECT DISTINCT result FROM workflow_run")
    assert len(by) >= 2
    events = dict(foreign.rows("SELECT event_type, count(*) FROM workflow_event GROUP BY event_type"))
    assert events == {"created": 300, "leased": 300, "started": 300, "succeeded": 300}
