"""Laws that hold for any story of orders, tenants and failures.

Tenants come and go, units and preflights fail for good, runs hang, an operator pauses, resumes, triggers and kills.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from longrun.testing import run_virtual
from orchestrator.contracts import PermanentFailure, PreflightSpec, Stall, WorkerSpec
from orchestrator.scheduler.controls import ControlError

TENANTS = ("a", "b", "c", "keeper")
SPECS = ("poll", "scan")
INTERVAL = {"poll": 10, "scan": 25}

#: When the story begins, and how long after its end everything has to be well again: the longest wait in quarantine, or
#: of a retry, is 330 s.
BEGIN, HEALED = 30, 450

SELECTORS = st.one_of(
    st.builds("worker:{}:{}".format, st.sampled_from([*SPECS, "*"]), st.sampled_from([*TENANTS, "*"])),
    st.just("worker:*"),
)
GUESTS = st.sampled_from(TENANTS[:-1])
STEPS = st.lists(
    st.tuples(
        st.one_of(
            st.tuples(st.sampled_from(["add", "remove", "break preflight", "heal"]), GUESTS),
            st.tuples(st.sampled_from(["break worker", "break scan"]), GUESTS),
            st.tuples(st.sampled_from(["hang", "shake"]), st.sampled_from(TENANTS)),
            st.tuples(st.sampled_from(["pause", "resume", "trigger", "kill"]), SELECTORS),
        ),
        st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0, 11.0, 40.0]),
    ),
    min_size=10,
    max_size=40,
)


@dataclass
class World:
    """What the test knows: who is a tenant, what is wrong with whom, and what it saw running."""

    feed: Any
    scheduler: Any = None
    present: set[str] = field(default_factory=lambda: {"a", "keeper"})
    wrong: set[tuple[str, str]] = field(default_factory=set)
    running: Counter[tuple[str, str]] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)
    last_run: dict[tuple[str, str], float] = field(default_factory=dict)
    removed_at: dict[str, float] = field(default_factory=dict)
    paused_at: dict[str, float] = field(default_factory=dict)
    triggered: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    statistics: Any = None

    # -- what the units do -------------------------------------------------------------------------------------------

    async def check(self, tenant: str) -> None:
        await self.run("check", tenant)

    async def poll(self, tenant: str) -> None:
        await self.run("poll", tenant)

    async def scan(self, tenant: str) -> None:
        await self.run("scan", tenant)

    async def run(self, spec: str, tenant: str) -> None:
        now = anyio.current_time()
        if self.running[spec, tenant]:
            self.faults.append(f"two runs of {spec} {tenant} overlap at {now}")
        if tenant not in self.present and now > self.removed_at[tenant]:
            self.faults.append(f"{spec} {tenant} starts at {now}, but it left at {self.removed_at[tenant]}")
        if spec != "check":
            self.starts[spec] += 1
            self.is_allowed(f"worker:{spec}:{tenant}", now)
        self.running[spec, tenant] += 1
        try:
            await anyio.sleep(2)
            if (spec, tenant) in self.wrong:
                raise PermanentFailure(f"{spec} {tenant} is broken")
            if ("hang", tenant) in self.wrong and spec != "check":
                await anyio.sleep_forever()
            if ("shake", tenant) in self.wrong and spec != "check":
                raise ConnectionResetError("reset")
            self.last_run[spec, tenant] = now
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1 if spec == "check" else 7)  # longer than the preflight of a tenant that comes back
            raise
        finally:
            self.running[spec, tenant] -= 1

    def is_allowed(self, worker: str, now: float) -> None:
        """A paused worker starts on order only (or in the very instant in which it is paused)."""
        paused = self.scheduler.controls.state_of(worker).paused
        if paused is not None and not self.triggered[worker] and self.paused_at[worker] < now:
            self.faults.append(f"{worker} starts at {now}, but it has been paused since {self.paused_at[worker]}")
        self.triggered[worker] = max(0, self.triggered[worker] - 1)

    # -- what happens to them ----------------------------------------------------------------------------------------

    def change(self, action: str, whom: str) -> None:
        match action:
            case "add":
                self.present.add(whom)
                self.feed.add(whom)
            case "remove":
                self.removed_at[whom] = anyio.current_time()
                self.present.discard(whom)
                self.feed.remove(whom)
            case "break preflight" | "break worker" | "break scan":
                spec = {"break preflight": "check", "break worker": "poll", "break scan": "scan"}[action]
                self.wrong.add((spec, whom))
            case "hang" | "shake":
                self.wrong.add((action, whom))
            case "heal":
                self.heal(whom)
            case _:
                self.order(action, whom)

    def heal(self, tenant: str) -> None:
        self.wrong = {(what, who) for what, who in self.wrong if who != tenant}

    def order(self, order: str, selector: str) -> None:
        controls = self.scheduler.controls
        before = controls.state()
        meant = {name for name in before if matches(selector, name)}
        try:
            count = getattr(controls, order)(selector)
        except ControlError as refused:
            if meant and order != "trigger":
                self.faults.append(f"{order} {selector} was refused ({refused}), but there are {meant}")
            return
        event(f"{order} meant something: {count > 0}")
        after = controls.state()
        for name in meant:
            self.has_obeyed(order, name, before[name], after[name])

    def has_obeyed(self, order: str, name: str, before: Any, after: Any) -> None:
        match order:
            case "pause":
                if after.paused is None and after.phase != "stopped":
                    self.faults.append(f"{name} is not paused: {after}")
                self.paused_at[name] = anyio.current_time()
                self.triggered[name] = 0  # what has not begun does not begin
            case "resume":
                if after.paused is not None or after.phase == "paused":
                    self.faults.append(f"{name} is still paused: {after}")
            case "trigger":
                # The second one may come when the first has its slot and has not begun to work: then it is one more.
                self.triggered[name] = min(2, self.triggered[name] + 1)
                if after.phase == "paused" or (after.next_due or 0.0) > anyio.current_time():
                    self.faults.append(f"{name} was triggered, but it waits: {after}")
            case _:
                pass


def matches(selector: str, name: str) -> bool:
    _, *wanted = selector.split(":")
    _, *parts = name.split(":")
    return all(want in ("*", part) for want, part in zip(wanted, parts, strict=False))


#: Both triggers come before the work of the first has begun, and the pause comes in its midst.
PAUSED_LATER = [
    (("add", "a"), 0.0),
    (("trigger", "worker:*"), 0.0),
    (("trigger", "worker:*"), 1.5),
    (("pause", "worker:*"), 1.0),
]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@example(steps=PAUSED_LATER, slots=1000, per_tenant=None)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, slots=st.sampled_from([1000, 3]), per_tenant=st.sampled_from([None, 1]))
@pytest.mark.slow
def test_units_obey_and_none_is_lost_whatever_happens(lab, backend, steps, slots, per_tenant):
    """No two runs of a unit overlap, no run of a removed tenant or of a paused worker starts, and when all is well
    again, everybody that is in runs."""

    end = BEGIN + sum(wait for _, wait in steps) + HEALED

    async def story() -> World:
        world = World(lab.Feed())
        shops = lab.Shops(
            PreflightSpec("check", world.check),
            WorkerSpec("poll", INTERVAL["poll"], world.poll),
            WorkerSpec("scan", INTERVAL["scan"], world.scan, stall=Stall(expected=12)),
            tenants=("a", "keeper"),
            changes=world.feed,
        )
        scheduler = world.scheduler = lab.scheduler(shops, max_running=slots, max_running_per_tenant=per_tenant)

        async def script() -> None:
            await anyio.sleep(BEGIN)
            for (action, whom), wait in steps:
                world.change(action, whom)
                await anyio.sleep(wait)
            for tenant in TENANTS:
                world.heal(tenant)
            for order in ("resume", "kill"):
                world.order(order, "worker:*")

        outcome = await lab.run_for(end, scheduler, script)
        if outcome.exit_code:
            world.faults.append(f"the service ended with {outcome}")
        world.statistics = scheduler.controls.statistics()
        return world

    world = run_virtual(story, backend=backend)

    assert world.faults == []
    assert not +world.running
    alive = {unit for unit, at in world.last_run.items() if at > end - 2 * INTERVAL["scan"] and unit[0] != "check"}
    assert alive == {(spec, tenant) for spec in SPECS for tenant in world.present}
    counted = world.statistics
    assert counted.attempts == counted.succeeded + counted.failed + counted.cancelled
    ended = counted.cancelled + counted.killed + counted.timed_out
    assert 0 <= counted.attempts - world.starts.total() <= ended, "ended before their work began"
    assert (counted.running, counted.queued, counted.stuck) == (0, 0, 0)
