"""Measuring: ``for _ in range(n): await call()`` in one running loop, rows taking turns in a new order each round.

The figure is CPU time of the process: nothing here waits, so it is what a call costs, and it moves little with the
load of the machine. Ratios are taken within a round, and their median over the rounds counts.
"""

import asyncio
import gc
import inspect
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from random import Random

from benchmarks.missing import NotHere
from benchmarks.resilience.row import Row, target
from benchmarks.samples import Key, Samples


@dataclass(slots=True)
class Live:
    """A row that is ready to run *rounds* calls in a go."""

    key: Key
    call: Callable[[], Awaitable[int]]
    rounds: int = 1


async def _prepare(row: Row, path: str) -> Callable[[], Awaitable[int]]:
    call = row.make(target(path))
    if inspect.isawaitable(call):
        call = await call
    for _ in range(30):
        if await call() != 42:
            raise AssertionError(f"{row.name} returned something else")
    return call


async def measure(
    rows: Iterable[Row], backend: str, samples: Samples, *, repeats: int, milliseconds: float, seed: int
) -> None:
    """Add the figures of *rows* on *backend*, in whose loop this runs, to *samples*."""
    live: list[Live] = []
    for row in rows:
        for path in row.paths:
            key = (row.group, row.name, path, backend)
            try:
                one = Live(key, await _prepare(row, path))
            except NotHere as missing:
                samples.notes[key] = str(missing)
                continue
            except Exception as error:  # noqa: BLE001 - a peer that cannot run here is a result, not a failure
                samples.notes[key] = f"{type(error).__name__}: {error}".splitlines()[0][:80]
                continue
            one.rounds = await _calibrate(one.call, milliseconds)
            live.append(one)
    gc.collect()
    gc.freeze()
    random = Random(seed)
    for _ in range(repeats):
        random.shuffle(live)
        for one in live:
            samples.taken.setdefault(one.key, []).append(await _time(one.call, one.rounds))
    gc.unfreeze()


async def _calibrate(call: Callable[[], Awaitable[int]], milliseconds: float) -> int:
    per_call = max(await _time(call, 60), 0.03)
    return max(60, min(400_000, int(milliseconds * 1000 / per_call)) // 3 * 3)


async def _time(call: Callable[[], Awaitable[int]], rounds: int) -> float:
    gc.collect()
    start = time.process_time_ns()
    for _ in range(rounds):
        await call()
    return (time.process_time_ns() - start) / rounds / 1000


def run(rows: Iterable[Row], backend: str, samples: Samples, *, repeats: int, milliseconds: float, seed: int) -> None:
    """:func:`measure` in a loop of *backend*: asyncio, uvloop or trio."""

    async def main() -> None:
        await measure(rows, backend, samples, repeats=repeats, milliseconds=milliseconds, seed=seed)

    if backend == "trio":
        import trio

        trio.run(main)
    elif backend == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    else:
        asyncio.run(main())
