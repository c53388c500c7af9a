"""Producers in other time zones, each a process of its own: all agree on every time."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.inbox import Inbox

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PRODUCER = """
import sys, json, time, anyio
from datetime import datetime, timedelta, UTC
from orchestrator.inbox import Inbox

async def main():
    async with Inbox.open(sys.argv[1], migrate=False) as inbox:
        local = datetime.fromisoformat(sys.argv[2]).astimezone()  # on this process's own clock on the wall
        ids = [
            await inbox.submit("now.v1", {"at": local}),
            await inbox.submit("later.v1", 1, delay=3600),
            await inbox.submit("then.v1", 1, run_at=local),
        ]
        seen = {}
        for run in (await inbox.list(limit=1000)).runs:
            seen[run.id] = [str(time) for time in (run.created_at, run.updated_at, run.run_at)]
        print(json.dumps([time.tzname[0], local.utcoffset().total_seconds(), ids, seen]))

anyio.run(main)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """A database of each kind; the server's own zone is an odd one."""
    return f"sqlite://{tmp_path}/state.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_two_processes_in_different_zones_agree_on_every_time(url):
    """What one stores, the other and this process read as the same moment."""
    moment = datetime(2031, 7, 1, 12, 30, tzinfo=UTC)

    def produce(zone):
        done = subprocess.run(
            [sys.executable, "-c", PRODUCER, url, moment.isoformat()],
            env=os.environ | {"TZ": zone, "PGTZ": zone, "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return json.loads(done.stdout)

    async with Inbox.open(url) as inbox:
        before = datetime.now(UTC)
        auckland = produce("Pacific/Auckland")
        honolulu = produce("Pacific/Honolulu")
        after = datetime.now(UTC)
        runs = {run.id: run for run in (await inbox.list(limit=1000)).runs}
        events = [event for id_ in runs for event in await inbox.events(id_)]

    assert (auckland[1], honolulu[1]) == (12 * 3600, -10 * 3600)
    assert {**auckland[3], **honolulu[3]} == {
        id_: [str(time) for time in (run.created_at, run.updated_at, run.run_at)] for id_, run in runs.items()
    }
    slack = timedelta(seconds=1)
    for ids in (auckland[2], honolulu[2]):
        now, later, then = (runs[id_] for id_ in ids)
        assert before - slack <= now.run_at == now.created_at <= after + slack
        assert later.run_at - later.created_at == timedelta(hours=1)
        assert then.run_at == moment
        assert datetime.fromisoformat(json.loads(now.payload)["at"]) == moment
    assert len(events) == 6
    assert all(before - slack <= event.created_at <= after + slack for event in events)
