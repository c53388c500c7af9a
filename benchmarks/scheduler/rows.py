"""The rows: a design in a scenario. Each measurement is made in a process of its own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module

from anyio.abc import TaskGroup

from benchmarks.bars import ALL
from benchmarks.scheduler import scenarios
from benchmarks.scheduler.fleet import Fleet, Make
from benchmarks.scheduler.load import Load
from benchmarks.scheduler.recorder import Recorder
from benchmarks.scheduler.scenarios import Measure

ASYNCIO = ("asyncio", "uvloop")
#: In the order in which they are measured and told.
SCENARIOS = ("floor", "idle", "steady", "herd", "saturation", "preflights")

RUNNER, SCHEDULER, FULL = "longrun Runner", "longrun Scheduler", "longrun Scheduler, full"
FLOOR, TASK_GROUP = "floor: a lone sleep", "floor: bare task group"
NATIVE, START_SOON, REUSED = "prototype lean, native", "prototype lean, start_soon", "prototype lean, reused"
PROTOTYPE_FULL = {"asyncio": "prototype full, native", "trio": "prototype full, start_soon"}
ASYNCIO_TASK, ANYIO_TASK = "asyncio task per unit", "anyio task per unit"


@dataclass(frozen=True, slots=True)
class Row:
    """*quick*: it is part of a first look. *slow*: creating its units takes long."""

    scenario: str
    name: str
    measure: Measure
    backends: tuple[str, ...] = ALL
    quick: bool = False
    slow: bool = False


_FLEETS = {
    "idle": scenarios.idle,
    "steady": scenarios.steady,
    "herd": scenarios.herd,
    "saturation": scenarios.saturation,
}


def _of(module: str, name: str, **how: object) -> Make:
    """The fleet *name* of *module*, imported in the process that needs it: no row has the modules of another one."""

    def make(load: Load, recorder: Recorder, tg: TaskGroup) -> Fleet:
        fleet: Make = getattr(import_module(f"benchmarks.scheduler.{module}"), name)
        return partial(fleet, **how)(load, recorder, tg)

    return make


def _prototype(spawn: str, features: str) -> Make:
    return _of("prototype", "Prototype", spawn=spawn, features=features)


def _fleet(
    name: str,
    make: Make,
    in_: Iterable[str],
    *,
    backends: tuple[str, ...] = ALL,
    quick: Iterable[str] = (),
    slow: bool = False,
) -> Iterator[Row]:
    for scenario in in_:
        measure = partial(_FLEETS[scenario], make)
        yield Row(scenario, name, measure, backends, scenario in quick, slow)


EVERY = tuple(_FLEETS)
NO_HERD = ("idle", "steady", "saturation")
ROWS = (
    Row("floor", FLOOR, scenarios.lone_sleep, quick=True),
    *_fleet(RUNNER, _of("runner", "RunnerFleet"), EVERY, quick=EVERY),
    *_fleet(SCHEDULER, _of("service", "SchedulerFleet"), EVERY, quick=EVERY),
    *_fleet(FULL, _of("service", "SchedulerFleet", full=True), ("steady", "saturation"), quick=("steady",)),
    *_fleet(NATIVE, _prototype("native", "lean"), EVERY, backends=ASYNCIO, quick=NO_HERD),
    *_fleet(START_SOON, _prototype("start_soon", "lean"), EVERY, quick=NO_HERD),
    *_fleet(REUSED, _prototype("reused", "lean"), ("steady", "herd", "saturation")),
    *_fleet("prototype bare, native", _prototype("native", "bare"), ("steady", "saturation"), backends=ASYNCIO),
    *_fleet("prototype bare, reused", _prototype("reused", "bare"), ("saturation",)),
    *_fleet("prototype full, native", _prototype("native", "full"), ("steady", "saturation"), backends=ASYNCIO),
    *_fleet("prototype full, start_soon", _prototype("start_soon", "full"), ("saturation",), backends=("trio",)),
    *_fleet(
        ASYNCIO_TASK,
        _of("peers", "AsyncioTasks"),
        EVERY,
        backends=ASYNCIO,
        quick=("idle", "steady"),
        slow=True,
    ),
    *_fleet(ANYIO_TASK, _of("peers", "AnyioTasks"), EVERY, slow=True),
    *_fleet("anyio task per unit, full", _of("peers", "AnyioTasks", full=True), ("steady", "saturation"), slow=True),
    *_fleet(
        "APScheduler 3",
        _of("peers", "APScheduler3"),
        NO_HERD,
        backends=("asyncio",),
        slow=True,
    ),
    *_fleet(
        "APScheduler 4",
        _of("peers", "APScheduler4"),
        ("idle", "steady", "saturation"),
        backends=("asyncio",),
        slow=True,
    ),
    Row("preflights", "longrun Scheduler.check", scenarios.checks, quick=True),
    Row("preflights", TASK_GROUP, scenarios.task_group, quick=True),
)


def find(scenario: str, name: str) -> Row:
    """The row *name* of *scenario*."""
    return next(row for row in ROWS if (row.scenario, row.name) == (scenario, name))
