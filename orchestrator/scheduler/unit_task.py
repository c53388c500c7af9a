"""From a unit of the plan to a task of the runner."""

import logging
from collections.abc import Awaitable, Callable, Mapping

from longrun import Gate, Run, Task
from longrun.task.gate import spread
from orchestrator.contracts.specs import GlobalWorkerSpec, WorkerSpec
from orchestrator.logs import BoundLogger, bind
from orchestrator.planner import Unit

#: First runs are spread over this many seconds at most: a worker with a long interval still starts soon.
SPLAY_CAP = 10.0


class Gates:
    """One gate for each credential that specs name; all units of a scheduler share it."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def of(self, unit: Unit) -> Gate | None:
        """The gate of *unit*, or None."""
        key = unit.spec.gate
        return None if key is None else self._gates.setdefault(key, Gate(key))


class UnitRun:
    """The ``Run`` of the contracts, over longrun's: the same run with a logger bound to its unit."""

    __slots__ = ("_logger", "_run", "_unit")

    def __init__(self, unit: Unit, run: Run) -> None:
        self._unit = unit
        self._run = run
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

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
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        if self._logger is None:
            logger = logging.getLogger(f"unit.{self._unit.id.resource}")
            self._logger = BoundLogger(logger, context(self._unit, self._run.id))
        return self._logger

    def progress(self, note: str | None = None) -> None:
        self._run.progress(note)


def context(unit: Unit, run_id: str | None = None) -> Mapping[str, object]:
    """What every line of a log about *unit* carries."""
    fields = {"phase": unit.phase, "resource": unit.id.resource, "tenant": unit.id.tenant, "run_id": run_id}
    return {name: value for name, value in fields.items() if value is not None}


def preflight_task(unit: Unit, gates: Gates) -> Task:
    """*unit* run until it has passed once."""
    return Task.once(str(unit.id), work_of(unit), timeout=unit.spec.timeout, gate=gates.of(unit))


def worker_task(unit: Unit, gates: Gates, splay: float | bool, *, once: bool = False) -> Task:
    """*unit* run on its interval for ever, or until it has succeeded *once*.

    The splay is stable: a tenant's unit has the same place on the grid on every start and in every process. Its first
    run comes soon, its grid lies over the whole interval.
    """
    spec = unit.spec
    assert isinstance(spec, WorkerSpec | GlobalWorkerSpec), f"{unit.id} is no worker"
    name, gate = str(unit.id), gates.of(unit)
    if once:
        return Task.once(name, work_of(unit), timeout=spec.timeout, gate=gate)
    width = 0.0 if splay is False else SPLAY_CAP if splay is True else float(splay)
    share = spread(name) if width and unit.id.tenant is not None else 0.0
    return Task.every(
        name,
        spec.interval,
        work_of(unit),
        timeout=spec.timeout,
        delay=share * min(width, spec.interval),
        phase=share * spec.interval,
        jitter=spec.jitter or 0.0,
        timing=spec.timing,
        missed=spec.missed,
        gate=gate,
    )


def work_of(unit: Unit) -> Callable[[Run], Awaitable[None]]:
    """The work of *unit* with its place bound to every line that is logged in it."""

    async def work(run: Run) -> None:
        with bind(**context(unit, run.id)):
            await unit.work(UnitRun(unit, run))

    return work
