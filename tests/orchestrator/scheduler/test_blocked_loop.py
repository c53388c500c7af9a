"""Work that blocks the event loop, in real time: a process of its own, because its clock must not be a test's."""

import json
import subprocess
import sys
from typing import Any

import pytest

#: A worker that blocks for 1.6 s beside one that is watched and would be late after 1.2 s, and one that ticks.
SERVICE = """
import json, logging, sys, time, anyio
from orchestrator.contracts import Module, Stall, WorkerSpec
from orchestrator.planner import Planner
from orchestrator.scheduler import Scheduler, SchedulerPolicy

class Declares:
    def __init__(self, spec):
        self.spec = spec
    def task_spec(self):
        return self.spec

runs = {"blocks": 0, "ticks": 0, "watched": 0}

async def blocks(tenant):
    runs["blocks"] += 1
    if runs["blocks"] == 2:
        time.sleep(1.6)

async def ticks(tenant):
    runs["ticks"] += 1

async def watched(tenant):
    await anyio.sleep(0.9)
    runs["watched"] += 1

class Shops(Module):
    name = "shops"
    def tenants(self):
        return ("a",)
    def workers(self):
        return [
            Declares(WorkerSpec("blocks", 0.5, blocks)),
            Declares(WorkerSpec("ticks", 0.1, ticks)),
            Declares(WorkerSpec("watched", 60, watched, stall=Stall(1.2, idle=1.2), timeout=1.3)),
        ]

told = []

def hear(event):
    told.append([event.name, getattr(event, "seconds", None), getattr(event, "stack", None)])

planner = Planner({"shops": Shops()})
policy = SchedulerPolicy(splay=False)
scheduler = Scheduler(planner.plan(), planner.infra_classifier(), policy, listeners=[hear])

async def main():
    async with anyio.create_task_group() as tg:
        async def stop():
            await anyio.sleep(3)
            scheduler.stop("enough")
        tg.start_soon(stop)
        outcome = await scheduler.run()
    counted = scheduler.controls.statistics()
    print(json.dumps({"told": told, "runs": runs, "exit": outcome.exit_code, "blocks": counted.blocks,
                      "blocked": counted.blocked, "latest": counted.latest, "skipped": counted.skipped}))

logging.basicConfig(stream=sys.stderr)
anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_who_blocks_the_event_loop_is_named_and_nobody_else_is_blamed(backend):
    """A thread says where it stands while it stands, lateness is counted, no critic and no time limit fires for it."""
    done = subprocess.run([sys.executable, "-c", SERVICE, backend], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    told = [name for name, _, _ in report["told"]]
    ((_, seconds, _), *_) = [
        event for event in report["told"] if event[0] == "loop.blocked" and "in blocks" in event[2]
    ]
    assert 1.0 <= seconds < 10
    assert not {"run.stalled", "run.kill_ordered", "attempt.failed", "escalator.failed"} & set(told)
    assert (report["exit"], report["runs"]["watched"]) == (0, 1)
    assert report["blocks"] >= 1
    assert report["blocked"] > 1
    assert report["latest"] > 1
    assert sum(report["skipped"].values()) >= 10
    assert "the event loop has not moved for" in done.stderr
    assert "in blocks" in done.stderr
