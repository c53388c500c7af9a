"""Minutes of real load: the memory of the process is flat.

``LONGRUN_SOAK_MINUTES=20 pytest -s -m soak tests/soak`` runs it; twenty minutes are the default. A day of the service
passes in 24 of them.
"""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, process_time

import anyio
import pytest

from longrun import RunnerStatistics
from longrun.task.statistics import LATENESS
from tests.soak.world import World, objects

MINUTES = float(os.environ.get("LONGRUN_SOAK_MINUTES", "20"))

#: Minutes in which everything that is kept for each unit and each tenant has been made once.
WARM_UP = min(5, max(1, int(MINUTES // 3)))

#: By how much the resident memory may differ from what it was then: what the allocator does by itself.
FLAT = 1.05


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No log: what pytest keeps of it is what would grow."""
    before, logging.root.manager.disable = logging.root.manager.disable, logging.CRITICAL
    yield
    logging.root.manager.disable = before


def resident() -> float:
    """The resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def late(counted: RunnerStatistics, share: float) -> str:
    """By when *share* of all attempts had started after they were due."""
    so_far = 0
    for bound, count in zip(LATENESS, counted.lateness, strict=False):
        so_far += count
        if so_far >= share * counted.attempts:
            return f"{bound * 1000:g} ms"
    return f"more than {LATENESS[-1]:g} s"


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc/self/statm")
@pytest.mark.timeout(MINUTES * 60 + 180)
@pytest.mark.parametrize("backend", ["asyncio"])
def test_memory_is_flat_over_minutes_of_load(backend, capsys):
    """Two thousand units, about two hundred attempts per second, and everything that goes wrong."""
    world = World(size=200, seed=3, scale=1 / 60, grain=1.0, slack=400.0)
    began, memory = monotonic(), []

    def note(counted: RunnerStatistics) -> None:
        held = objects()
        memory.append(resident())
        with capsys.disabled():
            print(
                f"{len(memory):3} min: {memory[-1]:6.1f} MiB, {held} objects, {counted.attempts} attempts, "
                f"{counted.failed} failed, {counted.stuck} stuck, 99 % started within {late(counted, 0.99)}, "
                f"blocked {counted.blocked:.2f} s, cpu {100 * process_time() / (monotonic() - began):.0f} %",
                flush=True,
            )

    outcome = anyio.run(world.live, MINUTES * 3600, 3600.0, note, backend=backend)

    assert world.faults == []
    assert (outcome.exit_code, outcome.abandoned, outcome.died) == (0, (), ())
    assert world.running == set()
    assert len(memory) >= 2, "nothing can be compared in less than two minutes"
    assert max(memory[WARM_UP:]) <= FLAT * memory[WARM_UP - 1]
