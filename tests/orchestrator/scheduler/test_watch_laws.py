"""Laws that hold for any story of tenants that come, go and fail."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longrun.testing import run_virtual
from orchestrator.contracts import PermanentFailure, PreflightSpec, WorkerSpec

TENANTS = ("a", "b", "c")

#: When the story begins, and how long after its end everything has to be well again: the longest wait in quarantine is
#: 330 s.
BEGIN, HEALED = 30, 400

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "break worker", "break preflight", "heal"]),
        st.sampled_from(TENANTS),
        st.sampled_from([0.0, 0.5, 3.0, 40.0]),
    ),
    max_size=25,
)


@dataclass
class World:
    """What the test knows: who is a tenant, who is broken, and what it saw running."""

    feed: Any
    present: set[str] = field(default_factory=lambda: {"a", "keeper"})
    broken: set[tuple[str, str]] = field(default_factory=set)
    running: Counter[tuple[str, str]] = field(default_factory=Counter)
    last_run: dict[str, float] = field(default_factory=dict)
    removed_at: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    async def work(self, kind: str, tenant: str) -> None:
        now = anyio.current_time()
        if self.running[kind, tenant]:
            self.faults.append(f"two runs of {kind} {tenant} overlap at {now}")
        if tenant not in self.present and now > self.removed_at[tenant]:
            self.faults.append(f"{kind} {tenant} starts at {now}, but it left at {self.removed_at[tenant]}")
        self.running[kind, tenant] += 1
        try:
            await anyio.sleep(2)
            if (kind, tenant) in self.broken:
                raise PermanentFailure(f"{tenant} is broken")
            self.last_run[tenant] = now
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)
            self.running[kind, tenant] -= 1

    async def check(self, tenant: str) -> None:
        await self.work("preflight", tenant)

    async def poll(self, tenant: str) -> None:
        await self.work("worker", tenant)

    def change(self, action: str, tenant: str) -> None:
        match action:
            case "add":
                self.present.add(tenant)
                self.feed.add(tenant)
            case "remove":
                self.removed_at[tenant] = anyio.current_time()
                self.present.discard(tenant)
                self.feed.remove(tenant)
            case "break worker":
                self.broken.add(("worker", tenant))
            case "break preflight":
                self.broken.add(("preflight", tenant))
            case _:
                self.heal(tenant)

    def heal(self, tenant: str) -> None:
        self.broken -= {("worker", tenant), ("preflight", tenant)}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_units_follow_their_tenants_whatever_happens(lab, backend, steps):
    """No two runs of a unit overlap, no run of a removed tenant starts, in the end exactly those present work."""

    end = BEGIN + sum(pause for *_, pause in steps) + HEALED

    async def story() -> World:
        world = World(lab.Feed())
        specs = (PreflightSpec("check", world.check), WorkerSpec("poll", 10, world.poll))
        scheduler = lab.scheduler(lab.Shops(*specs, tenants=("a", "keeper"), changes=world.feed))

        async def script() -> None:
            await anyio.sleep(BEGIN)
            for action, tenant, pause in steps:
                world.change(action, tenant)
                await anyio.sleep(pause)
            for tenant in TENANTS:
                world.heal(tenant)

        outcome = await lab.run_for(end, scheduler, script)
        if outcome.exit_code:
            world.faults.append(f"the service ended with {outcome}")
        return world

    world = run_virtual(story, backend=backend)

    assert world.faults == []
    assert not +world.running
    alive = {tenant for tenant, at in world.last_run.items() if at > end - 50}
    assert alive == world.present
