"""block: the event loop of a test stands still."""

import time

import anyio
import pytest

from longrun.testing import block, run_virtual

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@BACKENDS
def test_time_passes_and_nobody_gets_to_run(backend: str) -> None:
    """Who was due meanwhile is late, in the order of the instants; it takes no real time."""
    woken: list[tuple[float, float]] = []

    async def main() -> None:
        begun = anyio.current_time()

        async def sleeper(seconds: float) -> None:
            await anyio.sleep(seconds)
            woken.append((seconds, round(anyio.current_time() - begun)))

        async with anyio.create_task_group() as tg:
            for seconds in (1, 30, 10, 100):
                tg.start_soon(sleeper, seconds)
            await anyio.sleep(2)
            block(3600)
            assert woken == [(1, 1)]

    before = time.monotonic()
    run_virtual(main, backend=backend)

    assert sorted(woken) == [(1, 1), (10, 3602), (30, 3602), (100, 3602)]
    assert time.monotonic() - before < 5


@BACKENDS
def test_in_real_time_it_is_refused(backend: str) -> None:
    """With what to do instead."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"run_virtual, or use time\.sleep"):
            block(1)

    anyio.run(main, backend=backend)


def test_without_an_event_loop_it_is_refused() -> None:
    """There is nothing to stand still."""
    with pytest.raises(RuntimeError, match="needs virtual time"):
        block(1)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), True])
def test_a_length_that_makes_no_sense_is_refused(seconds: float) -> None:
    """By name and value."""
    with pytest.raises(ValueError, match="block seconds is"):
        block(seconds)
