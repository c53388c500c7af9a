"""What is measured: each scenario gives figures by their names. A measurement has its process to itself."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import TypeAlias

import anyio

from benchmarks.inbox.crew import Crew, crew
from benchmarks.inbox.ground import ground
from benchmarks.inbox.load import Load
from benchmarks.inbox.making import make
from benchmarks.inbox.system import BULK, Client, fill, producer
from benchmarks.inbox.tally import Tally
from benchmarks.scheduler.machine import Window
from benchmarks.scheduler.recorder import quantile

Figures: TypeAlias = dict[str, float]
Measure: TypeAlias = Callable[[Load], Awaitable[Figures]]

#: Seconds after which a drain or a pickup that should be over long since is given up.
PATIENCE = 90.0

#: Submits at a time.
CONCURRENT = 16

#: Pickups before those that count.
WARM = 5


async def drain(load: Load) -> Figures:
    """From the start of the workers until the last completion is stored."""
    system = make(load)
    await system.install()
    await fill(system, load.count)
    below = ground(load.url)
    with crew(load) as workers:
        workers.ready()
        below.settle()
        before, window = below.used(), Window()
        workers.go()
        await workers.until(lambda: workers.tally.count >= load.count, PATIENCE)
        await workers.until(lambda: not below.left(system.left), PATIENCE, every=0.002)
        window.close()
        after = below.used()
        rss = workers.memory()
        client = await workers.dismiss()
    figures = {
        "per_s": load.count / window.wall,
        "client_us": client / load.count * 1e6,
        "rss_mib": rss,
        "repeats": float(workers.tally.count - load.count),
    }
    if "server_s" in after:
        figures["server_us"] = (after["server_s"] - before["server_s"]) / load.count * 1e6
    if "wal" in after:
        figures["wal_b"] = (after["wal"] - before["wal"]) / load.count
    return figures


async def submit(load: Load) -> Figures:
    """One by one, several tasks at once, and in bulk: intents per second of clock, each on the disk."""
    system = make(load)
    await system.install()
    client = await producer(system)
    await client.submit()
    single = await _submits(client, load.seconds, 1)
    ground(load.url).settle()
    concurrent = await _submits(client, load.seconds, CONCURRENT)
    ground(load.url).settle()
    began, count = time.perf_counter(), 0
    while count < load.count and time.perf_counter() - began < 4 * load.seconds:
        await client.submit_many(min(BULK, load.count - count))
        count += BULK
    bulk = min(count, load.count) / (time.perf_counter() - began)
    return {"single_per_s": single, "concurrent_per_s": concurrent, "bulk_per_s": bulk}


async def _submits(client: Client, seconds: float, tasks: int) -> float:
    count, began = 0, time.perf_counter()

    async def submits() -> None:
        nonlocal count
        while time.perf_counter() - began < seconds:
            await client.submit()
            count += 1

    async with anyio.create_task_group() as tg:
        for _ in range(tasks):
            tg.start_soon(submits)
    return count / (time.perf_counter() - began)


@asynccontextmanager
async def _at_work(load: Load) -> AsyncIterator[Crew]:
    with crew(load) as workers:
        workers.ready()
        workers.go()
        await anyio.sleep(load.warm)
        yield workers
        await workers.dismiss()


async def pickup(load: Load) -> Figures:
    """From the call that submits, in this process, to the start of the handler in another one, which is idle."""
    system = make(load)
    await system.install()
    client = await producer(system)
    async with _at_work(load) as workers:
        tally = workers.tally

        async def next_hit(seen: int) -> None:
            while tally.count == seen:  # noqa: ASYNC110 - what is waited for happens in another process
                await anyio.sleep(0.003)  # it is dated there; looking all the time would take the others a core

        return await _pickups(client, tally, load.count, next_hit)


async def pickup_within(load: Load) -> Figures:
    """The same in one process: the producer and the worker share an inbox."""
    from benchmarks.inbox.systems.longrun import Longrun, Producer
    from orchestrator.inbox import Inbox

    system = make(load)
    assert isinstance(system, Longrun)
    tally = Tally(load.file("tally"))
    hit = anyio.Event()

    async def next_hit(seen: int) -> None:
        nonlocal hit
        while tally.count == seen:  # a look every now and then would take the interpreter from the threads of SQLite
            await hit.wait()
            hit = anyio.Event()

    async with Inbox.open(load.url) as inbox, anyio.create_task_group() as tg:
        poller = system.poller(inbox, tally, lambda: hit.set())
        tg.start_soon(poller.run)
        await anyio.sleep(load.warm)
        figures = await _pickups(Producer(inbox, 1, types=False), tally, load.count, next_hit)
        poller.stop()
    return figures


async def _pickups(client: Client, tally: Tally, count: int, next_hit: Callable[[int], Awaitable[None]]) -> Figures:
    random, taken = Random(7), []
    for _ in range(count + WARM):
        await anyio.sleep(random.uniform(0.02, 0.06))  # idle again, and at no fixed place between two looks of anybody
        seen, began = tally.count, time.perf_counter()
        await client.submit()
        with anyio.fail_after(20):
            await next_hit(seen)
        taken.append((tally.last - began) * 1000)
    late = sorted(taken[WARM:])
    return {"p50_ms": quantile(late, 0.5), "p95_ms": quantile(late, 0.95), "max_ms": late[-1]}


async def idle(load: Load) -> Figures:
    """What a worker costs that has nothing to do."""
    system = make(load)
    await system.install()
    below = ground(load.url)
    async with _at_work(load):
        await anyio.sleep(load.warm)  # the server counts late
        before, used, began = below.transactions(), below.used(), time.perf_counter()
        await anyio.sleep(load.seconds)
        after, more, wall = below.transactions(), below.used(), time.perf_counter() - began
    figures = {}
    if before is not None and after is not None:
        figures["tx_per_s"] = (after - before) / wall
    if "server_s" in more:
        figures["server_ms_per_s"] = (more["server_s"] - used["server_s"]) / wall * 1000
    return figures
