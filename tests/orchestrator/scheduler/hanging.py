"""A service with a run that hangs, for the tests of stalled runs."""

from typing import Any

import anyio

from longrun.events import KillOrdered
from longrun.testing import RecordingListener
from orchestrator.contracts import Stall, WorkerSpec


class Hanging:
    """Work whose first run of *tenants* hangs for an hour; notes who ran, when it ended and what it was told."""

    def __init__(self, *tenants: str, progress: float | None = None) -> None:
        self.tenants = tenants
        self.progress = progress
        self.runs: list[tuple[str, float]] = []
        self.ended: dict[str, float] = {}
        self.nudges: tuple[str, ...] = ()
        self.ids: list[str] = []

    async def __call__(self, tenant: str, run: Any) -> None:
        self.runs.append((tenant, anyio.current_time()))
        if tenant not in self.tenants or tenant in self.ended:
            return
        self.ids.append(run.id)
        try:
            if self.progress is None:
                await anyio.sleep(3600)
            for page in range(36000):
                await anyio.sleep(self.progress or 0)
                run.progress(f"page {page}")
        finally:
            self.ended[tenant] = anyio.current_time()
            self.nudges = run.nudges

    def of(self, tenant: str) -> list[float]:
        return [at for who, at in self.runs if who == tenant]


async def told_of(lab: Any, stall: Stall, *, length: float = 200.0, progress: float | None = None):
    """What becomes of a run that hangs under *stall*: the work, the events, and how the service ended."""
    events, work = RecordingListener(), Hanging("bad", progress=progress)
    shops = lab.Shops(WorkerSpec("poll", 30, work, stall=stall), tenants=("good", "bad"))
    outcome = await lab.run_for(length, lab.scheduler(shops, splay=False, listeners=[events]))
    assert (outcome.exit_code, outcome.abandoned) == (0, ())
    assert len(work.of("good")) == 1 + length // 30, "a stalled run has harmed another unit"
    return work, events


def ended(events: RecordingListener) -> list[tuple[str, str]]:
    """Who had the run ended, and why."""
    return [(order.by, order.reason) for order in events.of(KillOrdered)]
