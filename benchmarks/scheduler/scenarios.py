"""The scenarios: what a fleet is put through, and the figures that come of it."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from benchmarks.scheduler.fleet import Fleet, Make
from benchmarks.scheduler.load import Load
from benchmarks.scheduler.machine import Window, rss
from benchmarks.scheduler.recorder import Recorder, quantile

Figures: TypeAlias = dict[str, float]
#: One measurement in a process of its own.
Measure: TypeAlias = Callable[[Load], Awaitable[Figures]]

#: Starts of which the instants are kept, at most.
ROOM = 1_000_000
#: A turn of the event loop below so many CPU seconds does no more than a tick's few runs; so many in a row are quiet.
QUICK, TURNS = 0.005, 100


async def idle(make: Make, load: Load) -> Figures:
    """All units wait: start-up, memory, what waiting costs, and how long it takes to end it."""
    async with anyio.create_task_group() as tg:
        fleet, recorder, figures = await _armed(make, load, tg)
        began = Window()
        await anyio.sleep(load.seconds)
        began.close()
        figures |= {"idle_pct": 100 * began.cpu / began.wall, "other_pct": 100 * began.other, "runs": recorder.count}
        end = Window()
        await fleet.stop()
        end.close()
        figures |= {"stop_s": end.wall, "stop_cpu_s": end.cpu}
        tg.cancel_scope.cancel()
    return figures


async def steady(make: Make, load: Load) -> Figures:
    """Runs come evenly: CPU, and how late they start."""
    async with anyio.create_task_group() as tg:
        fleet, recorder, figures = await _armed(make, load, tg)
        clock = recorder.clock
        await anyio.sleep(max(1.0, load.lead - figures["start_s"]))
        runs, since, window = recorder.count, clock(), Window()
        await anyio.sleep(load.seconds)
        window.close()
        runs = recorder.count - runs
        figures |= {
            "runs": runs,
            "cpu_pct": 100 * window.cpu / window.wall,
            "us_per_run": 1e6 * window.cpu / max(1, runs),
            "other_pct": 100 * window.other,
        }
        dues = fleet.dues()
        late = [] if dues is None else recorder.lateness(dues, load.interval, since)
        if late:
            for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)):
                figures[name] = 1e3 * quantile(late, share)
        tg.cancel_scope.cancel()
    return figures


async def saturation(make: Make, load: Load) -> Figures:
    """More runs are due than can be done: how many are."""
    async with anyio.create_task_group() as tg:
        _, recorder, figures = await _armed(make, load, tg, settle=False)
        await anyio.sleep(max(1.0, load.lead - figures["start_s"]))
        runs, window = recorder.count, Window()
        await anyio.sleep(load.seconds)
        window.close()
        runs = recorder.count - runs
        figures |= {
            "runs": runs,
            "rate_k": runs / window.wall / 1e3,
            "rate_core_k": runs / window.cpu / 1e3,
            "us_per_run": 1e6 * window.cpu / max(1, runs),
            "busy_pct": 100 * window.cpu / window.wall,
            "other_pct": 100 * window.other,
        }
        tg.cancel_scope.cancel()
    return figures


async def herd(make: Make, load: Load) -> Figures:
    """All units are due at one instant: until the last has started; and the memory once each has run."""
    async with anyio.create_task_group() as tg:
        recorder = _recorder(load)
        fleet = make(load, recorder, tg)
        clock = recorder.clock
        before = _collected()
        began, window = clock(), Window()
        await fleet.arm()
        while recorder.count < load.units:
            await anyio.sleep(0.02)
            if clock() - began > 60 + load.lead:
                raise TimeoutError(f"{recorder.count} of {load.units} units had started after a minute")
        window.close()
        await _quiet()
        after = _collected()
        dues = fleet.dues()
        due = began if dues is None else dues[0]
        late = (recorder.last() - due) % load.interval
        figures = {
            "herd_s": late,
            "herd_cpu_s": window.cpu,
            "bytes_after": (after - before) / load.units,
            "other_pct": 100 * window.other,
        }
        tg.cancel_scope.cancel()
    return figures


async def lone_sleep(load: Load) -> Figures:
    """The floor of lateness: one sleep at a time."""
    clock, late, window = clock_of(load), [], Window()
    end = clock() + load.seconds
    due = clock()
    while due < end:
        due += load.interval
        await anyio.sleep(max(0.0, due - clock()))
        late.append(clock() - due)
        due = max(due, clock() - load.interval)
    window.close()
    late.sort()
    return {
        "p50_ms": 1e3 * quantile(late, 0.5),
        "p99_ms": 1e3 * quantile(late, 0.99),
        "max_ms": 1e3 * late[-1],
        "runs": len(late),
        "cpu_pct": 100 * window.cpu / window.wall,
        "other_pct": 100 * window.other,
    }


async def checks(load: Load) -> Figures:
    """Phase 1 of so many tenants, through ``Scheduler.check()``; the plan is made before."""
    from benchmarks.scheduler.service import preflights

    scheduler = preflights(load.units)
    gc.collect()
    window = Window()
    outcome = await scheduler.check()
    window.close()
    if outcome.passed != load.units:
        raise AssertionError("\n".join(outcome.lines()))
    return {"wall_s": window.wall, "cpu_s": window.cpu, "other_pct": 100 * window.other}


async def task_group(load: Load) -> Figures:
    """The same number of calls as bare tasks of one group."""

    async def check(_: int) -> None:
        pass

    gc.collect()
    window = Window()
    async with anyio.create_task_group() as tg:
        for tenant in range(load.units):
            tg.start_soon(check, tenant)
    window.close()
    return {"wall_s": window.wall, "cpu_s": window.cpu, "other_pct": 100 * window.other}


def clock_of(load: Load) -> Callable[[], float]:
    """What ``anyio.current_time`` reads, without its way there."""
    if load.backend != "trio":
        return time.monotonic
    import trio

    return trio.current_time


def _recorder(load: Load) -> Recorder:
    expected = load.units + int(2 * load.demand * (load.seconds + load.lead))
    # The same work for every design: what a checkpoint of anyio costs more than one of asyncio is none of their costs.
    yield_ = anyio.lowlevel.checkpoint if load.backend == "trio" else _asyncio_yield
    return Recorder(min(ROOM, expected), clock_of(load), yield_)


async def _armed(make: Make, load: Load, tg: TaskGroup, *, settle: bool = True) -> tuple[Fleet, Recorder, Figures]:
    recorder = _recorder(load)
    fleet = make(load, recorder, tg)
    before = _collected()
    window = Window()
    await fleet.arm()
    since = await _quiet() if settle else None
    window.close(since)
    waiting = _collected()
    again = time.perf_counter()
    gc.collect()
    return (
        fleet,
        recorder,
        {
            "start_s": window.wall,
            "start_cpu_s": window.cpu,
            "bytes": (waiting - before) / load.units,
            "rss_mib": waiting / 2**20,
            "gc_ms": 1e3 * (time.perf_counter() - again),
        },
    )


async def _quiet() -> float:
    """Until the event loop has turned many times with next to nothing to do; since when it has (``perf_counter``)."""
    since, last = time.perf_counter(), time.process_time()
    in_a_row = 0
    while in_a_row < TURNS:
        await anyio.lowlevel.checkpoint()
        spent = time.process_time()
        in_a_row += 1
        if spent - last > QUICK:
            since, in_a_row = time.perf_counter(), 0
        last = spent
    return since


def _collected() -> int:
    gc.collect()
    return rss()


def _asyncio_yield() -> Awaitable[None]:
    return asyncio.sleep(0)
