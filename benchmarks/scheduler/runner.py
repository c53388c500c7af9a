"""Our row at the level of longrun: tasks in a Runner."""

import math
from array import array
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup

from benchmarks.scheduler.load import Load
from benchmarks.scheduler.recorder import Recorder
from longrun import Baseline, Critic, ExtendOnce, Runner, Task
from longrun.task.terms import Terms

#: Kinds of tasks; each kind shares its terms.
SPECS = 10

TIMEOUT, EXPECTED = 30.0, 10.0

UnitWork: TypeAlias = Callable[[int], Awaitable[None]]


class _Work:
    """The work of one unit, as a service would write it: a value that can be called."""

    __slots__ = ("_run", "_unit")

    def __init__(self, run: UnitWork, unit: int) -> None:
        self._run = run
        self._unit = unit

    def __call__(self) -> Awaitable[None]:
        return self._run(self._unit)


class RunnerFleet:
    """Tasks that share their terms: a time limit, a critic, a baseline; statistics are always counted."""

    def __init__(self, load: Load, recorder: Recorder, tg: TaskGroup) -> None:
        self._load, self._recorder, self._tg = load, recorder, tg
        self._runner = Runner(baseline=Baseline(), keep_open=True)
        critic = Critic(ExtendOnce(60.0), expected=EXPECTED)
        self._terms = [
            Terms(interval=load.interval, splay=0.0 if load.herd else load.interval, timeout=TIMEOUT, stall=critic)
            for _ in range(SPECS)
        ]
        self._over = anyio.Event()

    async def arm(self) -> None:
        delay = self._load.lead if self._load.herd else 0.0
        for unit in range(self._load.units):
            work = _Work(self._recorder.run, unit)
            self._runner.add(Task(_name(unit), work, self._terms[unit % SPECS], delay))
        self._tg.start_soon(self._run)

    async def _run(self) -> None:
        await self._runner.run()
        self._over.set()

    def dues(self) -> Sequence[float] | None:
        state = self._runner.state()
        dues = (state[_name(unit)].next_due for unit in range(self._load.units))
        return array("d", (math.nan if due is None else due for due in dues))

    async def stop(self) -> None:
        self._runner.stop("measured", drain=0.0)
        await self._over.wait()


def _name(unit: int) -> str:
    return f"worker:spec-{unit % SPECS}:tenant-{unit // SPECS:05d}"
