"""A herd: very many tasks that are due at one instant."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from longrun import Limit, Runner, Task
from longrun.task.dispatcher import LAUNCHES

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]

#: Tasks that are due at one instant.
HERD = 40 * LAUNCHES


async def _in_turns(going: Going, at_once: int = HERD, **options: Any) -> tuple[list[int], list[float]]:
    """How many of a herd started between two turns of another task of the event loop; and when each did."""
    at: list[float] = []
    begun = anyio.current_time()

    async def work() -> None:
        at.append(anyio.current_time() - begun)
        await anyio.sleep(3)

    turns: list[int] = []
    herd = [Task.every(f"herd-{n}", 3600, work, delay=5.0, **options) for n in range(HERD)]
    async with going(*herd, max_running=at_once):
        await anyio.sleep(4.999)
        await anyio.sleep(0.001)
        seen = len(at)
        while len(at) < at_once:
            await anyio.lowlevel.checkpoint()
            turns.append(len(at) - seen)
            seen = len(at)
        if at_once < HERD:
            await anyio.sleep(3.0 * HERD / at_once)
    return turns, at


async def test_a_herd_comes_up_in_many_turns_of_the_event_loop(going: Going) -> None:
    """Others of the event loop are not held up for as long as it takes to start them all."""
    turns, at = await _in_turns(going)

    assert max(turns) <= 2 * LAUNCHES
    assert len(at) == HERD


async def test_a_herd_comes_up_without_a_wait(going: Going) -> None:
    """Virtual time does not move until the last has started."""
    _, at = await _in_turns(going)

    assert set(at) == {5.0}


async def test_a_herd_keeps_every_slot_taken(going: Going) -> None:
    """A tenth may run at a time: ten waves, the next as soon as the one before has ended."""
    _, at = await _in_turns(going, at_once=HERD // 10)

    assert at == sorted(5.0 + 3.0 * (n // (HERD // 10)) for n in range(HERD))


async def test_a_herd_within_a_limit_keeps_it_full(going: Going) -> None:
    """The line of a limit is served in portions too, and nobody is forgotten in it."""
    limit = Limit("upstream", 2 * LAUNCHES)

    _, at = await _in_turns(going, at_once=2 * LAUNCHES, limits=[limit])

    assert at == sorted(5.0 + 3.0 * (n // (2 * LAUNCHES)) for n in range(HERD))
    assert limit.used == 0
