"""From a unit of the plan to a task of the runner."""

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from longrun import Gate, Limit, Run, Task
from longrun.task.terms import Terms
from orchestrator.contracts.run import Checkpoint
from orchestrator.contracts.specs import GlobalWorkerSpec, WorkerSpec
from orchestrator.critics import critic_of
from orchestrator.logs import BoundLogger, bind_task
from orchestrator.planner import Unit
from orchestrator.planner.unit import Declaration

#: First runs are spread over this many seconds at most: a worker with a long interval still starts soon.
SPLAY_CAP = 10.0


class Gates:
    """One gate for each credential that specs name; all units of a scheduler share it."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def of(self, key: str | None) -> Gate | None:
        """The gate that *key* names; None for none."""
        return None if key is None else self._gates.setdefault(key, Gate(key))


class UnitRun:
    """The ``Run`` of the contracts, over longrun's: the same run with its place in the plan, for its logger and for
    every line that is logged in it."""

    __slots__ = ("_fields", "_logger", "_run", "_work")

    def __init__(self, work: "UnitWork", run: Run) -> None:
        self._work = work
        self._run = run
        self._fields: Mapping[str, object] | None = None
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    @property
    def once(self) -> bool:
        return self._work.once

    @property
    def fields(self) -> Mapping[str, object]:
        """What every line of a log about it carries, put together when there is a line."""
        if self._fields is None:
            self._fields = MappingProxyType(context(self._work.unit, self._run.id))
        return self._fields

    @property
    def id(self) -> str:
        return self._run.id

    @property
    def attempt(self) -> int:
        return self._run.attempt

    @property
    def deadline(self) -> float:
        return self._run.deadline

    @property
    def stopping(self) -> bool:
        return self._run.stopping

    @property
    def nudges(self) -> tuple[str, ...]:
        return self._run.nudges

    @property
    def checkpoint(self) -> Checkpoint:
        return self._run.checkpoint

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        if self._logger is None:
            self._logger = BoundLogger(_logger(self._work.unit.spec.resource), self.fields)
        return self._logger

    def progress(self, note: str | None = None) -> None:
        self._run.progress(note)


def context(unit: Unit, run_id: str | None = None) -> Mapping[str, object]:
    """What every line of a log about *unit* carries."""
    fields = {"phase": unit.phase, "resource": unit.spec.resource}
    if unit.text is not None:
        fields["tenant"] = unit.text
    if run_id is not None:
        fields["run_id"] = run_id
    return fields


class UnitWork:
    """The work of one unit as a task of longrun, with its place bound to every line that is logged in it."""

    __slots__ = ("once", "unit")

    def __init__(self, unit: Unit, once: bool = False) -> None:
        self.unit = unit
        self.once = once

    def __call__(self, run: Run) -> Awaitable[None]:
        made = UnitRun(self, run)
        bind_task(made)  # for good: a run is a task of its own, so what is bound in it ends with it
        return self.unit.work(made)


@cache
def _logger(resource: str) -> logging.Logger:
    return logging.getLogger(f"unit.{resource}")


class Tasks:
    """Makes tasks of units. All tasks of one declaration share their terms; units of one credential share its gate.

    *splay*: False, or over how many seconds first runs are spread (True: :data:`SPLAY_CAP`). *once*: each worker runs
    until it has succeeded once.
    """

    def __init__(
        self, gates: Gates, *, splay: float | bool = True, once: bool = False, per_tenant: int | None = None
    ) -> None:
        self._gates = gates
        self._splay = 0.0 if splay is False else SPLAY_CAP if splay is True else float(splay)
        self._once = once
        self._per_tenant = per_tenant
        self._terms: dict[Declaration, Terms] = {}
        self._of_tenant: dict[tuple[str, str], tuple[Limit, ...]] = {}

    def task(self, unit: Unit) -> Task:
        """*unit* as a task."""
        declaration = unit.declaration
        terms = self._terms.get(declaration)
        if terms is None:
            terms = self._terms[declaration] = self._made(declaration)
        limits = () if self._per_tenant is None else self._limits(unit, self._per_tenant)
        return Task(unit.name, UnitWork(unit, self._once), terms, limits=limits)

    def forget(self, tenant: tuple[str, str]) -> None:
        """The tenant (module, text) is gone."""
        self._of_tenant.pop(tenant, None)

    def _limits(self, unit: Unit, per_tenant: int) -> tuple[Limit, ...]:
        if unit.text is None or unit.phase != "worker":
            return ()
        tenant = (unit.module, unit.text)  # a tenant of another type may have the same text
        limits = self._of_tenant.get(tenant)
        if limits is None:
            limits = self._of_tenant[tenant] = (Limit(f"tenant {unit.text}", per_tenant),)
        return limits

    def _made(self, declaration: Declaration) -> Terms:
        spec = declaration.spec
        once = Terms(timeout=spec.timeout, gate=self._gates.of(spec.gate), takes_run=True)
        if not isinstance(spec, WorkerSpec | GlobalWorkerSpec):
            return once
        limit = getattr(spec, "limit", None)
        worker = replace(
            once,
            limits=() if limit is None else (Limit(f"spec {spec.resource}", limit),),
            stall=None if spec.stall is None else critic_of(spec.stall),
        )
        if self._once:
            return worker
        # The splay is stable: a tenant's unit has the same place on the grid on every start and in every process. Its
        # first run comes soon, its grid lies over the whole interval.
        return replace(
            worker,
            interval=spec.interval,
            jitter=spec.jitter or 0.0,
            splay=self._splay if declaration.per_tenant else 0.0,
            timing=spec.timing,
            missed=spec.missed,
        )
