"""Our rows at the level of the orchestrator: a plan in a Scheduler, bare and with everything that tells of its runs."""

import logging
import os
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup

from benchmarks.scheduler.load import Load
from benchmarks.scheduler.recorder import Recorder
from benchmarks.scheduler.telemetry import providers
from longrun import Pipeline, trace
from longrun.events import Listener
from longrun.otel import Instruments
from longrun.task.gate import spread
from orchestrator.contracts.module import Module, Preflight, Worker
from orchestrator.contracts.run import Run
from orchestrator.contracts.specs import PreflightSpec, WorkerSpec
from orchestrator.contracts.stall import Stall
from orchestrator.logs import configure
from orchestrator.planner import Plan, Planner, Unit
from orchestrator.scheduler import Scheduler, SchedulerPolicy

#: Worker specs; the tenants are as many as make up the units.
SPECS = 10

TIMEOUT, EXPECTED = 30.0, 10.0

UnitWork: TypeAlias = Callable[[int], Awaitable[None]]


class Tenant:
    """What a service knows of one of its customers. It is there before any unit is."""

    __slots__ = ("_text", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self._text = f"tenant-{number:05d}"

    def __str__(self) -> str:
        return self._text


class Poll(Worker[Tenant]):
    """One of the interval workers of each tenant."""

    def __init__(self, number: int, interval: float, work: UnitWork, *, told: bool) -> None:
        self._number = number
        self._interval = interval
        self._work = work
        self._told = told

    def task_spec(self) -> WorkerSpec[Tenant]:
        work = self._tell if self._told else self._poll
        stall = Stall(expected=EXPECTED)
        return WorkerSpec(f"spec-{self._number}", self._interval, work, timeout=TIMEOUT, stall=stall)

    async def _poll(self, tenant: Tenant) -> None:
        await self._work(tenant.number * SPECS + self._number)

    async def _tell(self, tenant: Tenant, run: Run) -> None:
        await self._work(tenant.number * SPECS + self._number)
        run.logger.info("run done")


class Check(Preflight[Tenant]):
    """The check of one tenant, which finds everything in order."""

    def task_spec(self) -> PreflightSpec[Tenant]:
        return PreflightSpec("check", self._check)

    async def _check(self, _: Tenant) -> None:
        pass


class Fleets(Module[Tenant]):
    """The one module of the service that is measured."""

    name = "fleet"

    def __init__(
        self, tenants: Sequence[Tenant], preflights: Sequence[Preflight[Tenant]], workers: Sequence[Worker[Tenant]]
    ) -> None:
        self._tenants, self._preflights, self._workers = tenants, preflights, workers

    def tenants(self) -> Sequence[Tenant]:
        return self._tenants

    def preflights(self) -> Sequence[Preflight[Tenant]]:
        return self._preflights

    def workers(self) -> Sequence[Worker[Tenant]]:
        return self._workers


class SchedulerFleet:
    """``Planner.plan()`` and ``Scheduler.run()``: ten worker specs times the tenants; no preflights.

    *full*: a span, the metrics of the SDK and a line of JSON for each run.
    """

    def __init__(self, load: Load, recorder: Recorder, tg: TaskGroup, *, full: bool = False) -> None:
        self._load, self._recorder, self._tg = load, recorder, tg
        work: UnitWork = recorder.run
        self._listeners: tuple[Listener, ...] = ()
        if full:
            work, self._listeners = _told(recorder.run)
        tenants = [Tenant(number) for number in range(load.units // SPECS)]
        workers = [Poll(number, load.interval, work, told=full) for number in range(SPECS)]
        self._module = Fleets(tenants, (), workers)
        # All at once, or over the whole interval as the other designs have it; over ten seconds by default.
        self._policy = SchedulerPolicy(splay=False if load.herd else load.interval)
        self._scheduler: Scheduler | None = None
        self._plan: Plan | None = None
        self._ready, self._over = anyio.Event(), anyio.Event()
        self._ready_at = 0.0

    async def arm(self) -> None:
        planner = Planner({"fleet": self._module})
        self._plan = planner.plan()
        self._scheduler = Scheduler(self._plan, planner.infra_classifier(), self._policy, listeners=self._listeners)
        self._tg.start_soon(self._run, self._scheduler)
        await self._ready.wait()

    async def _run(self, scheduler: Scheduler) -> None:
        outcome = await scheduler.run(on_ready=self._passed)
        self._over.set()
        if outcome.died:
            raise RuntimeError(str(outcome.died[0]))

    async def _passed(self) -> None:
        self._ready_at = self._recorder.clock()
        self._ready.set()

    def dues(self) -> Sequence[float] | None:
        if self._load.herd:
            return array("d", [self._ready_at]) * self._load.units
        assert self._plan is not None
        phases = array("d", [0.0]) * self._load.units
        for unit in self._plan.workers:
            # The stable splay: a grid lies at the share of the interval that the hash of the unit's name says.
            phases[_number(unit)] = spread(str(unit.id)) * self._load.interval
        return self._recorder.placed(phases, self._load.interval)

    async def stop(self) -> None:
        assert self._scheduler is not None
        self._scheduler.stop("measured")
        await self._over.wait()


def _number(unit: Unit) -> int:
    assert isinstance(unit.tenant, Tenant)
    return unit.tenant.number * SPECS + int(unit.spec.resource.removeprefix("spec-"))


def _told(run: UnitWork) -> tuple[UnitWork, tuple[Listener, ...]]:
    """*run* in a span of its own, logs set up as the command line does it, and the listener that counts."""
    tracers, meters = providers()
    spans = Pipeline(trace("worker.run", tracer_provider=tracers))
    configure("json", "info", "fleet", open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
    logging.disable(logging.NOTSET)

    async def told(unit: int) -> None:
        await spans.do(run, unit)

    return told, (Instruments(label=_resource, meter_provider=meters),)


def preflights(tenants: int) -> Scheduler:
    """Phase 1 with one check for each of so many tenants."""
    planner = Planner({"fleet": Fleets([Tenant(number) for number in range(tenants)], [Check()], ())})
    return Scheduler(planner.plan(), planner.infra_classifier())


def _resource(unit: str) -> str:
    """One series for each spec, not for each unit."""
    return unit.rpartition(":")[0]
