"""A service of many tenants in a bad world: what its units do, what happens to them, and what must hold all the time.

One second of the service is *scale* seconds of the event loop, so that a day passes in 24 real minutes with 1/60. The
waits of the framework itself (backoff, quarantine, grace) are not scaled.
"""

import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Any

import anyio

from longrun import RunnerStatistics, TaskState
from longrun.events import Event
from orchestrator.contracts import (
    PermanentFailure,
    ServicePressure,
    TenantAdded,
    TenantRemoved,
)
from orchestrator.planner import Planner
from orchestrator.scheduler import Scheduler, SchedulerPolicy, ServiceOutcome
from orchestrator.scheduler.controls import ControlError
from orchestrator.scheduler.workers import Workers
from tests.soak.tenants import INTERVALS, RESOURCES, Tenants, preflight, resource_of, workers

#: Out of a thousand attempts: how many are refused, told to wait, fail oddly, hang, ignore their cancellation.
TROUBLES = ((20, "refused"), (10, "wait"), (5, "odd"), (3, "hung"), (1, "stubborn"))


@dataclass
class World:
    """*size* tenants with ten workers each; *seed* decides everything that happens.

    An interval is *pace* times what :data:`INTERVALS` says. *grain*: seconds by which an order may reach a unit later
    than the test knows of it. *slack*: seconds that may pass before a unit that is well runs again, on top of its
    interval: a quarantine at its longest, or two failures of no known kind in a row with an attempt that hangs between
    them.
    """

    size: int
    seed: int
    scale: float = 1.0
    pace: float = 1.0
    grain: float = 0.0
    slack: float = 900.0
    faults: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)

    running: set[str] = field(default_factory=set)
    last_start: dict[str, float] = field(default_factory=dict)
    seen: int = 0
    returned: int = 0
    raised: int = 0
    cut: int = 0

    quiet_since: dict[str, float] = field(default_factory=dict)
    removed_at: dict[str, float] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    paused_at: dict[str, float] = field(default_factory=dict)
    unpaused_at: dict[str, float] = field(default_factory=dict)
    triggered: set[str] = field(default_factory=set)
    agenda: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    checks: int = 0

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        names = [f"shop-{number:04}" for number in range(self.size + self.size // 10)]
        express = [f"express-{number}" for number in range(max(1, self.size // 100))]
        self.module_of = dict.fromkeys(names, "shops") | dict.fromkeys(express, "express")
        present = names[: self.size - len(express)]
        self.present = dict.fromkeys([*present, *express])
        self.absent = dict.fromkeys(names[self.size - len(express) :])
        limit = max(1, self.size // 20)
        self.modules = {
            name: Tenants(
                name,
                who,
                preflight(name, self.check),
                workers(name, self.scale, self.pace, limit, self.work),
                self.resolve,
            )
            for name, who in (("shops", present), ("express", express))
        }
        self.interval = {
            f"worker:{resource_of(module, resource)}": interval * self.scale * self.pace
            for module, intervals in INTERVALS.items()
            for resource, interval in zip(RESOURCES, intervals, strict=True)
        }
        planner = Planner(self.modules)
        self.plan = planner.plan()
        policy = SchedulerPolicy(max_running=500, max_running_per_tenant=6, shutdown_timeout=600.0)
        self.scheduler = Scheduler(self.plan, planner.infra_classifier(), policy, listeners=[self.hear])

    def hear(self, event: Event) -> None:
        self.events[event.name] += 1

    # -- what the units do -------------------------------------------------------------------------------------------

    async def check(self, tenant: str) -> None:
        """The preflight."""
        self.begin(f"preflight:{tenant}", tenant)
        try:
            await anyio.sleep(self.scale)
            if tenant in self.broken:
                raise PermanentFailure("the account is closed")
        finally:
            self.running.discard(f"preflight:{tenant}")

    async def resolve(self, tenant: str) -> str:
        """What the storage knows of *tenant*; at times it is away."""
        if self.rng.random() < 0.01:
            raise ConnectionResetError("the database is away")
        return tenant

    def work(self, resource: str) -> Callable[..., Awaitable[None]]:
        """The work of a worker, with all that goes wrong."""
        may_hang = resource.split("-")[-1] in ("poll", "mail", "report", "scan", "bill")

        async def run(tenant: str, run: Any) -> None:
            name = f"worker:{resource}:{tenant}"
            self.seen += 1
            self.begin(name, tenant)
            self.is_allowed(name)
            try:
                await self.trouble(tenant, run, may_hang)
            except Exception:
                self.raised += 1
                raise
            except BaseException:
                self.cut += 1
                raise
            else:
                self.returned += 1
            finally:
                self.running.discard(name)

        return run

    async def trouble(self, tenant: str, run: Any, may_hang: bool) -> None:
        rng, s = self.rng, self.scale
        if tenant in self.broken:
            raise PermanentFailure("the account is closed")
        drawn = rng.randrange(1000)
        what = "well"
        for share, trouble in TROUBLES:
            if 0 <= drawn < share:
                what = trouble
            drawn -= share
        if rng.random() < 0.4:
            await anyio.sleep(rng.uniform(0, 8) * s)
            run.progress("half of it")
        match what:
            case "refused":
                raise ConnectionResetError("reset")
            case "wait":
                raise ServicePressure("busy", retry_after=rng.uniform(1, 60) * s)
            case "odd":
                raise KeyError("surprise")
            case "hung" if may_hang:
                await anyio.sleep_forever()
            case "stubborn" if may_hang:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(max(8.0, 90 * s))
            case _:
                pass

    def begin(self, name: str, tenant: str) -> None:
        """What must hold whenever a run starts."""
        now = anyio.current_time()
        if name in self.running:
            self.faults.append(f"two runs of {name} overlap at {now}")
        if tenant not in self.present and now > self.removed_at[tenant] + self.grain:
            self.faults.append(f"{name} starts at {now}, but its tenant left at {self.removed_at[tenant]}")
        self.running.add(name)
        self.last_start[name] = now

    def is_allowed(self, name: str) -> None:
        paused = self.scheduler.controls.state_of(name).paused
        if paused is not None and name not in self.triggered:
            since = self.paused_at[name]
            if anyio.current_time() > since + self.grain:
                self.faults.append(f"{name} starts, but it has been paused since {since}")
        self.triggered.discard(name)

    # -- what happens to them ----------------------------------------------------------------------------------------

    async def happen(self, every: float) -> None:
        """For ever: something every *every* seconds of the service, and its end when that is due."""
        await anyio.sleep(120 * self.scale)
        while True:
            now = anyio.current_time()
            while self.agenda and self.agenda[0][0] <= now:
                heappop(self.agenda)[2]()
            self.something()
            await anyio.sleep(self.rng.uniform(0.5, 1.5) * every * self.scale)

    def something(self) -> None:
        kinds = {"leave": 4, "come": 4, "break": 1, "pause": 3, "trigger": 6, "kill": 3}
        (kind,) = self.rng.choices(list(kinds), list(kinds.values()))
        self.done[kind] += 1
        match kind:
            case "leave" if len(self.absent) < self.size // 8:
                at_work = sorted({name.rpartition(":")[2] for name in self.running} & self.present.keys())
                self.leave(self.rng.choice(at_work or list(self.present)))
            case "come" if self.absent:
                self.come(self.rng.choice(list(self.absent)))
            case "break" if len(self.broken) < max(1, self.size // 50):
                self.break_(self.rng.choice(list(self.present)))
            case "pause":
                selector = self.selector()
                self.order("pause", selector)
                self.later(self.rng.uniform(60, 1800), lambda: self.order("resume", selector))
            case "trigger":
                self.order("trigger", self.selector())
            case "kill":
                workers = [name for name in self.running if name.startswith("worker:")]
                self.order("kill", self.rng.choice(sorted(workers)) if workers else self.selector())
            case _:
                pass

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        heappush(self.agenda, (anyio.current_time() + seconds * self.scale, self.rng.getrandbits(60), what))

    def selector(self) -> str:
        tenant = self.rng.choice(list(self.module_of))
        resource = resource_of(self.module_of[tenant], self.rng.choice(RESOURCES))
        return self.rng.choice(
            [f"worker:{resource}:{tenant}", f"worker:{resource}:{tenant}", f"worker:*:{tenant}", f"worker:{resource}:*"]
        )

    def leave(self, tenant: str) -> None:
        del self.present[tenant]
        self.absent[tenant] = None
        self.removed_at[tenant] = anyio.current_time()
        self.modules[self.module_of[tenant]].say(TenantRemoved(tenant))

    def come(self, tenant: str) -> None:
        del self.absent[tenant]
        self.present[tenant] = None
        self.quiet_since[tenant] = anyio.current_time()
        self.modules[self.module_of[tenant]].say(TenantAdded(tenant))

    def break_(self, tenant: str) -> None:
        self.broken.add(tenant)
        self.later(self.rng.uniform(300, 3000), lambda: self.heal(tenant))

    def heal(self, tenant: str) -> None:
        self.broken.discard(tenant)
        self.quiet_since[tenant] = anyio.current_time()

    def order(self, order: str, selector: str) -> None:
        controls, now = self.scheduler.controls, anyio.current_time()
        try:
            count = getattr(controls, order)(selector)
        except ControlError:
            return  # the tenant is away, or left out
        self.done[f"{order} of a worker"] += count
        for name in self.names(selector):
            if order == "pause":
                self.paused_at[name] = min(now, self.paused_at.get(name, now))
            elif order == "resume":
                self.paused_at.pop(name, None)
                self.unpaused_at[name] = now
            elif order == "trigger":
                self.triggered.add(name)

    def names(self, selector: str) -> list[str]:
        _, resource, tenant = selector.split(":")
        tenants = self.present if tenant == "*" else [tenant]
        return [
            f"worker:{each}:{who}"
            for who in tenants
            for each in ([resource_of(self.module_of[who], r) for r in RESOURCES] if resource == "*" else [resource])
        ]

    # -- what must hold ----------------------------------------------------------------------------------------------

    def look(self) -> RunnerStatistics:
        """Everything that must hold at any time; what does not is a fault."""
        self.checks += 1
        now, controls = anyio.current_time(), self.scheduler.controls
        states = controls.state()
        for name, state in states.items():
            if state.paused is not None:
                self.unpaused_at[name] = now
                self.paused_at.setdefault(name, now)
            elif name in self.paused_at:  # its tenant left, or was left out, and has come back
                del self.paused_at[name]
                self.unpaused_at[name] = now
        self.nobody_is_lost(now)
        counted = controls.statistics()
        self.counts_agree(counted)
        in_runs = sum(state.attempt > 0 for state in states.values())
        for what, (size, bound) in self.sizes(states, in_runs, counted).items():
            if size > bound:
                self.faults.append(f"{what} has grown to {size}; {bound} at most were expected")
        return counted

    def nobody_is_lost(self, now: float) -> None:
        for tenant in self.present:
            if tenant in self.broken:
                continue
            module = self.module_of[tenant]
            for resource in RESOURCES:
                place = f"worker:{resource_of(module, resource)}"
                name = f"{place}:{tenant}"
                well_since = max(self.quiet_since.get(tenant, 0.0), self.unpaused_at.get(name, 0.0), self.began)
                ran = self.last_start.get(name, -1.0)
                if max(well_since, ran) + self.interval[place] + self.slack < now:
                    self.faults.append(f"{name} is lost: it ran at {ran}, is well since {well_since}, and it is {now}")

    def counts_agree(self, counted: RunnerStatistics) -> None:
        """The runner and the work have seen the same.

        A run that was given its slot in this very instant has not begun its attempt. Of an attempt that was ended in
        the instant in which it began, or while its tenant was looked up, the work has seen nothing.
        """
        missed = counted.failed + counted.cancelled
        ended = counted.succeeded + missed
        not_begun = ended + counted.running - counted.attempts
        not_seen = counted.attempts - self.seen
        agreed = {
            "attempts": 0 <= not_begun <= counted.running,
            "lateness": sum(counted.lateness) == counted.attempts,
            "successes": counted.succeeded == self.returned,
            "what the work has seen": 0 <= not_seen <= missed + counted.running,
            "failures": self.raised + self.cut <= missed <= self.raised + self.cut + not_seen,
        }
        for what, agree in agreed.items():
            if not agree:
                self.faults.append(f"counts of {what} differ: {self.seen=} {self.returned=} {self.raised=}, {counted}")

    def sizes(
        self, states: Mapping[str, TaskState], in_runs: int, counted: RunnerStatistics
    ) -> dict[str, tuple[int, int]]:
        """What is kept by unit or by tenant, and how much that may be: for who is here, or still leaves."""
        stop = self.scheduler._stop_phase
        workers: Workers = stop.__self__  # type: ignore[union-attr]  # a bound method while the service runs
        tenants, units = len(self.present), len(states)
        calendar = workers._runner._dispatcher._calendar
        resolutions = [d.resolution for d in self.plan.declarations("worker") if d.spec.resource.endswith("poll")]
        asked = [d.stall._escalator for d in workers._tasks._terms.values() if d.stall is not None]
        remembered = [getattr(each, "_asked", ()) for each in asked] + [getattr(each, "_granted", ()) for each in asked]
        return {
            "units": (units, 10 * tenants + counted.running),
            "entries of the calendar": (sum(map(len, calendar._slots.values())), 3 * units),
            "completed tenants": (sum(len(r._known) for r in resolutions), tenants),
            "tenants that are looked up": (sum(len(r._asking) for r in resolutions), tenants),
            "limits of tenants": (len(workers._tasks._of_tenant), tenants),
            "tenants that wait": (len(workers._admission._waiting), tenants),
            "preflights of tenants": (len(workers._admission._locks), tenants),
            "units that leave but have left": (len(set(workers._leaving) - set(states)), 0),
            "runs that critics remember": (sum(map(len, remembered)), in_runs),
            "stuck runs": (counted.stuck, sum(state.stuck for state in states.values())),
        }

    # -- a whole life ------------------------------------------------------------------------------------------------

    async def live(
        self, length: float, look_every: float, on_look: Callable[[RunnerStatistics], None]
    ) -> ServiceOutcome:
        """Run the service for *length* seconds of the service, looking at it all the while, and stop it."""
        outcomes: list[ServiceOutcome] = []
        ready = anyio.Event()

        async def main() -> None:
            async def on_ready() -> None:
                ready.set()

            outcomes.append(await self.scheduler.run(on_ready=on_ready))
            tg.cancel_scope.cancel()

        async with anyio.create_task_group() as tg:
            tg.start_soon(main)
            await ready.wait()
            self.began = anyio.current_time()
            tg.start_soon(self.happen, 120.0)
            end = self.began + length * self.scale
            while (left := end - anyio.current_time()) > 0 and not self.faults:
                await anyio.sleep(min(left, look_every * self.scale))
                on_look(self.look())
            self.scheduler.stop("the soak is over")
            await anyio.sleep_forever()
        if not outcomes:
            self.faults.append("the service did not end")
            raise AssertionError(self.faults)
        self.counts_agree(self.scheduler.controls.statistics())
        return outcomes[0]


def objects() -> int:
    """How many containers the process holds."""
    gc.collect()
    return len(gc.get_objects())
