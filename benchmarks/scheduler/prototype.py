"""The prototype: a calendar of ticks and bounded runs, with nothing of what makes a scheduler one to live with.

It shows what the design can do: no retries, no failures, no stop, no pause. A record per unit as large as a real one.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextvars import Context, copy_context
from heapq import heappop, heappush
from types import coroutine
from typing import Any, Literal, Protocol, TypeAlias

import anyio
from anyio.abc import TaskGroup

from benchmarks.missing import NotHere
from benchmarks.scheduler.load import Load
from benchmarks.scheduler.recorder import Recorder
from benchmarks.scheduler.told import told

#: How runs are started: a child of the task group each, a task of the event loop's own each, or runners used again.
Spawn: TypeAlias = Literal["start_soon", "native", "reused"]
#: bare: nothing else; lean: a scope, a scan for stalled runs, counts; full: a time limit, a span, metrics, a log line.
Features: TypeAlias = Literal["bare", "lean", "full"]

TICK, LIMIT, NAP, SCAN, STALLED = 0.005, 1000, 0.05, 0.25, 30.0
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Record:
    """A unit with all that a scheduler keeps of one."""

    __slots__ = (
        "__weakref__", "due", "failures", "last_end", "last_error", "last_ok", "last_seconds", "note", "runs", "scope",
        "skipped", "spec", "started", "state", "tenant", "tick", "unit",
    )  # fmt: skip

    def __init__(self, unit: int, tenant: object, spec: object, due: float) -> None:
        self.unit, self.tenant, self.spec, self.due, self.tick = unit, tenant, spec, due, -1
        self.state = self.failures = self.skipped = self.runs = 0
        self.started = due - 1.75
        self.scope: anyio.CancelScope | None = None
        self.last_ok, self.last_end, self.last_seconds = due - 1.5, due - 1.25, due * 0.5
        self.last_error = self.note = None


class Calendar:
    """A list of units for each tick, and a heap of the ticks that have any."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Record]] = {}
        self._ticks: list[int] = []
        self._reached = -1

    def put(self, unit: Record) -> None:
        tick = max(int(unit.due / TICK) + 1, self._reached + 1)
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [unit]
            heappush(self._ticks, tick)
        else:
            if slot[0].tick == tick:
                tick = slot[0].tick
            slot.append(unit)
        unit.tick = tick

    def due(self, now: float) -> list[Record]:
        last = int(now / TICK)
        found: list[Record] = []
        while self._ticks and self._ticks[0] <= last:
            self._reached = heappop(self._ticks)
            found += self._slots.pop(self._reached)
        self._reached = max(self._reached, last)
        return found

    def next(self) -> float:
        return self._ticks[0] * TICK if self._ticks else float("inf")


Job: TypeAlias = Callable[[Record], Coroutine[Any, Any, None]]


class Prototype:
    """One dispatcher for all units; at most *LIMIT* runs at a time."""

    def __init__(self, load: Load, recorder: Recorder, tg: TaskGroup, *, spawn: Spawn, features: Features) -> None:
        self._load, self._recorder, self._tg = load, recorder, tg
        self._calendar = Calendar()
        self._index: dict[tuple[object, object], Record] = {}
        self._base = 0.0
        self._running: dict[int, Record] = {}
        self._stalled = 0
        self._lean = features == "lean"
        self._runs, self._seconds, self._buckets = 0, 0.0, [0] * (len(BOUNDS) + 1)
        self._run: Callable[[int], Awaitable[None]] = recorder.run
        if features == "lean":
            self._run = self._guarded
        elif features == "full":
            self._run = told(recorder.run)
        self._tenants = [f"tenant-{number:06d}" for number in range(load.units // 10)]
        self._start = _start(spawn, load, tg, self._job)
        self._scope = anyio.CancelScope()
        self._over = anyio.Event()

    async def arm(self) -> None:
        self._base = self._recorder.clock() + self._load.lead
        specs = tuple(range(10))
        for unit in range(self._load.units):
            tenant, spec = self._tenants[unit // 10], specs[unit % 10]
            record = Record(unit, tenant, spec, self._base + self._load.phase(unit))
            self._index[tenant, spec] = record
            self._calendar.put(record)
        self._tg.start_soon(self._dispatch)

    def dues(self) -> Sequence[float] | None:
        return array("d", (self._base + self._load.phase(unit) for unit in range(self._load.units)))

    async def stop(self) -> None:
        self._scope.cancel()
        await self._over.wait()

    async def _dispatch(self) -> None:
        clock, calendar, start = self._recorder.clock, self._calendar, self._start
        with self._scope:
            if self._lean:
                self._tg.start_soon(self._scan)
            while True:
                for unit in calendar.due(clock()):
                    start(unit)
                await anyio.sleep(max(0.0, min(NAP, calendar.next() - clock())))
        self._over.set()

    async def _scan(self) -> None:
        while True:
            await anyio.sleep(SCAN)
            limit = self._recorder.clock() - STALLED
            self._stalled += sum(unit.started < limit for unit in self._running.values())

    async def _job(self, unit: Record) -> None:
        clock, interval = self._recorder.clock, self._load.interval
        self._running[unit.unit] = unit
        unit.started = clock()
        try:
            await self._run(unit.unit)
        finally:
            del self._running[unit.unit]
        now = clock()
        due = unit.due + interval
        if due <= now:
            missed = int((now - due) // interval) + 1
            unit.skipped += missed
            due += missed * interval
        unit.due = due
        unit.runs += 1
        self._calendar.put(unit)

    async def _guarded(self, unit: int) -> None:
        began = self._recorder.clock()
        try:
            with anyio.CancelScope():
                await self._recorder.run(unit)
        finally:
            seconds = self._recorder.clock() - began
            self._runs += 1
            self._seconds += seconds
            self._buckets[bisect_left(BOUNDS, seconds)] += 1


def _start(spawn: Spawn, load: Load, tg: TaskGroup, job: Job) -> Callable[[Record], None]:
    if spawn == "start_soon":
        return _bounded(_grouped(tg), job)
    if spawn == "native":
        if load.backend == "trio":
            raise NotHere("trio has no tasks outside a nursery: start_soon is its own way")
        return _bounded(_native(), job)
    return _reused(tg, _TrioPark if load.backend == "trio" else _AsyncioPark, job)


def _grouped(tg: TaskGroup) -> Callable[[Job, Record], None]:
    def start(run: Job, unit: Record) -> None:
        tg.start_soon(run, unit)

    return start


def _native() -> Callable[[Job, Record], None]:
    loop, alive = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def start(run: Job, unit: Record) -> None:
        task = loop.create_task(run(unit))
        alive.add(task)
        task.add_done_callback(alive.discard)

    return start


def _bounded(start: Callable[[Job, Record], None], job: Job) -> Callable[[Record], None]:
    """One task for each run; the one that ends starts the next unit that is due."""
    ready: deque[Record] = deque()
    alive = 0

    async def run(unit: Record) -> None:
        nonlocal alive
        try:
            await job(unit)
        finally:
            if ready:
                start(run, ready.popleft())
            else:
                alive -= 1

    def spawn(unit: Record) -> None:
        nonlocal alive
        if alive < LIMIT:
            alive += 1
            start(run, unit)
        else:
            ready.append(unit)

    return spawn


class _Park(Protocol):
    """Where a runner waits for its next unit, the cheapest way that its backend has."""

    def wake(self) -> None: ...

    async def wait(self) -> None: ...


class _AsyncioPark:
    __slots__ = ("_future",)

    def __init__(self) -> None:
        self._future = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        self._future.set_result(None)

    async def wait(self) -> None:
        await self._future


class _TrioPark:
    __slots__ = ("_task",)

    def __init__(self) -> None:
        import trio

        self._task = trio.lowlevel.current_task()

    def wake(self) -> None:
        import trio

        trio.lowlevel.reschedule(self._task)

    async def wait(self) -> None:
        import trio

        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)


class _Slot:
    __slots__ = ("park", "unit")

    def __init__(self, unit: Record) -> None:
        self.unit = unit
        self.park: _Park | None = None


def _reused(tg: TaskGroup, park: Callable[[], _Park], job: Job) -> Callable[[Record], None]:
    """Tasks that run one unit after the other, each in a context of its own, and wait when none is due."""
    ready: deque[Record] = deque()
    waiting: list[_Slot] = []
    alive = 0

    async def runner(slot: _Slot) -> None:
        while True:
            await _in_context(copy_context(), job(slot.unit))
            while ready:
                await _in_context(copy_context(), job(ready.popleft()))
            slot.park = park()
            waiting.append(slot)
            await slot.park.wait()

    def spawn(unit: Record) -> None:
        nonlocal alive
        if waiting:
            slot = waiting.pop()
            slot.unit = unit
            assert slot.park is not None
            slot.park.wake()
        elif alive < LIMIT:
            alive += 1
            tg.start_soon(runner, _Slot(unit))
        else:
            ready.append(unit)

    return spawn


@coroutine
def _in_context(context: Context, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Drive *work* to its end inside *context* without a task of its own."""
    run = context.run
    try:
        waits_for = run(work.send, None)
        while True:
            try:
                value = yield waits_for
            except BaseException as error:  # noqa: BLE001 - whatever is thrown in belongs to the work
                waits_for = run(work.throw, error)
            else:
                waits_for = run(work.send, value)
    except StopIteration:
        return
