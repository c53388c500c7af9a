"""The peers: a task for each unit, and APScheduler 3 and 4."""

# Every library is imported inside its row: one that is missing, or does not run on a backend, costs its row alone.
import asyncio
import sys
import time
from array import array
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from benchmarks.missing import NotHere
from benchmarks.scheduler.load import Load
from benchmarks.scheduler.recorder import Recorder
from benchmarks.scheduler.told import told

#: Where APScheduler 4 is: one environment cannot hold two versions of a package.
APSCHEDULER_4 = Path(sys.prefix) / "apscheduler4"

Sleep = Callable[[float], Awaitable[None]]


class _Loops:
    """A loop around a sleep for each unit, on a fixed grid; what a unit does meanwhile is no business of the others."""

    def __init__(self, load: Load, recorder: Recorder, sleep: Sleep, *, full: bool = False) -> None:
        self.load, self.recorder = load, recorder
        self._sleep = sleep
        self._run = told(recorder.run) if full else recorder.run
        self._base = 0.0

    def begin(self) -> None:
        self._base = self.recorder.clock() + self.load.lead

    def dues(self) -> Sequence[float] | None:
        return array("d", (self._base + self.load.phase(unit) for unit in range(self.load.units)))

    async def loop(self, unit: int) -> None:
        clock, interval, run, sleep = self.recorder.clock, self.load.interval, self._run, self._sleep
        due = self._base + self.load.phase(unit)
        while True:
            await sleep(max(0.0, due - clock()))
            await run(unit)
            due += interval
            now = clock()
            if due <= now:
                due += (int((now - due) // interval) + 1) * interval


class AsyncioTasks(_Loops):
    """``asyncio.create_task`` for each unit."""

    def __init__(self, load: Load, recorder: Recorder, _: TaskGroup) -> None:
        super().__init__(load, recorder, asyncio.sleep)
        self._tasks: list[asyncio.Task[None]] = []

    async def arm(self) -> None:
        self.begin()
        self._tasks = [asyncio.create_task(self.loop(unit)) for unit in range(self.load.units)]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class AnyioTasks(_Loops):
    """``TaskGroup.start_soon`` for each unit, in one group."""

    def __init__(self, load: Load, recorder: Recorder, tg: TaskGroup, *, full: bool = False) -> None:
        super().__init__(load, recorder, anyio.sleep, full=full)
        self._tg = tg
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()

    async def arm(self) -> None:
        self.begin()
        self._tg.start_soon(self._group)

    async def _group(self) -> None:
        with self._scope:
            async with anyio.create_task_group() as tg:
                for unit in range(self.load.units):
                    tg.start_soon(self.loop, unit)
        self._over.set()

    async def stop(self) -> None:
        self._scope.cancel()
        await self._over.wait()


class _ByWallClock:
    """A library that is told dates, not instants."""

    def __init__(self, load: Load, recorder: Recorder, _: TaskGroup) -> None:
        self.load, self.recorder = load, recorder
        self._base = 0.0

    def begin(self) -> None:
        self._base = time.time() + self.load.lead

    def date(self, unit: int) -> datetime:
        return datetime.fromtimestamp(self._base + self.load.phase(unit), UTC)

    def dues(self) -> Sequence[float] | None:
        base = self._base - time.time() + self.recorder.clock()
        return array("d", (base + self.load.phase(unit) for unit in range(self.load.units)))


class APScheduler3(_ByWallClock):
    """``AsyncIOScheduler`` with its memory store: a job for each unit."""

    def __init__(self, load: Load, recorder: Recorder, tg: TaskGroup) -> None:
        super().__init__(load, recorder, tg)
        try:
            from apscheduler.schedulers.asyncio import AsyncIOScheduler
        except ModuleNotFoundError as error:
            raise NotHere("apscheduler is not installed") from error

        defaults = {"misfire_grace_time": 3600, "coalesce": True, "max_instances": 1}
        self._scheduler: Any = AsyncIOScheduler(timezone=UTC, job_defaults=defaults)

    async def arm(self) -> None:
        from apscheduler.triggers.interval import IntervalTrigger

        self.begin()
        self._scheduler.start(paused=True)
        for unit in range(self.load.units):
            date = self.date(unit)
            trigger = IntervalTrigger(seconds=self.load.interval, start_date=date, timezone=UTC)
            self._scheduler.add_job(self.recorder.run, trigger, (unit,), next_run_time=date)
        self._scheduler.resume()

    async def stop(self) -> None:
        self._scheduler.shutdown(wait=False)
        await asyncio.sleep(0)


#: APScheduler 4 names a task by its function, which must be one of a module.
_work: Callable[[int], Awaitable[None]] | None = None


async def _job(unit: int) -> None:
    assert _work is not None
    await _work(unit)


class APScheduler4(_ByWallClock):
    """``AsyncScheduler`` with its memory store: a schedule for each unit. An alpha."""

    def __init__(self, load: Load, recorder: Recorder, tg: TaskGroup) -> None:
        super().__init__(load, recorder, tg)
        if not APSCHEDULER_4.is_dir():
            raise NotHere(
                f"apscheduler 4 is not installed; pip install --target {APSCHEDULER_4.name} it into {sys.prefix}"
            )
        sys.path.insert(0, str(APSCHEDULER_4))
        from apscheduler import AsyncScheduler

        global _work
        _work = recorder.run
        self._tg = tg
        self._scheduler: Any = AsyncScheduler(max_concurrent_jobs=1000)
        self._armed, self._over = anyio.Event(), anyio.Event()

    async def arm(self) -> None:
        self.begin()
        self._tg.start_soon(self._serve)
        await self._armed.wait()

    async def _serve(self) -> None:
        from apscheduler import CoalescePolicy
        from apscheduler.triggers.interval import IntervalTrigger

        async with self._scheduler as scheduler:
            await scheduler.configure_task(
                "t", func=_job, job_executor="async", max_running_jobs=None, misfire_grace_time=None
            )
            for unit in range(self.load.units):
                trigger = IntervalTrigger(seconds=self.load.interval, start_time=self.date(unit))
                await scheduler.add_schedule("t", trigger, id=str(unit), args=(unit,), coalesce=CoalescePolicy.latest)
            await scheduler.start_in_background()
            self._armed.set()
            await scheduler.wait_until_stopped()
        self._over.set()

    async def stop(self) -> None:
        await self._scheduler.stop()
        await self._over.wait()
