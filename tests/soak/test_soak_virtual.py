"""A day of a service with two thousand units in a bad world, in virtual time."""

from collections.abc import Iterator
from time import monotonic

import pytest

from longrun import RunnerStatistics
from longrun.testing import run_virtual
from tests.soak.world import World, objects

HOUR = 3600.0


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a world like this logs would fill the memory whose flatness is tested."""
    with caplog.at_level("CRITICAL"):
        yield


def lived(world: World, length: float, *, backend: str, look_every: float) -> list[int]:
    """Let *world* live; how many objects there were at each full hour."""
    sizes: list[int] = []
    began = monotonic()

    def note(counted: RunnerStatistics) -> None:
        hours = world.checks * look_every / HOUR
        if hours == int(hours):
            sizes.append(objects())
            print(
                f"{int(hours):3} h after {monotonic() - began:5.1f} s: {counted.attempts} attempts, {sizes[-1]} objects"
            )

    outcome = run_virtual(lambda: world.live(length, look_every, note), backend=backend)

    assert world.faults == []
    assert (outcome.exit_code, outcome.abandoned, outcome.died) == (0, (), ())
    assert world.running == set()
    print(f"{monotonic() - began:.1f} s; {dict(world.done)}; {dict(world.events)}")
    return sizes


#: What a soak is worth nothing without.
HAPPENED = {
    "attempt.failed", "run.stalled", "run.nudged", "run.extended", "run.kill_ordered", "run.stuck", "retry.scheduled",
    "degraded.entered", "degraded.recovered", "task.failed", "task.removed", "attempt.cancelled", "ticks.skipped",
}  # fmt: skip


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.slow
def test_an_hour_of_a_small_service_in_a_bad_world(backend):
    """No overlap, no lost unit, no run of a removed tenant or paused worker, counts that agree, nothing that grows."""
    world = World(size=20, seed=1)

    lived(world, HOUR, backend=backend, look_every=300.0)

    assert world.checks == 12
    assert world.seen > 1500


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_day_of_two_thousand_units_in_a_bad_world():
    """The same for 24 hours; and the number of objects in the process stays as it was after the second.

    But for two that a unit keeps of its first failure.
    """
    world = World(size=200, seed=2, pace=2.0)

    sizes = lived(world, 24 * HOUR, backend="asyncio", look_every=600.0)

    assert (world.checks, len(sizes)) == (144, 24)
    assert set(world.events) >= HAPPENED
    assert world.seen > 100_000
    assert max(sizes[2:]) <= 1.1 * sizes[1] + 2 * 2000
