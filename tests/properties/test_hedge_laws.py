"""Laws of hedges: any race goes as a simple model of it says, and the moving quantile is the quantile."""

import heapq
import math

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun import Pipeline, hedge
from longrun.hedge.latency import Latencies
from longrun.testing import run_virtual


class Transient(Exception):
    pass


class Fatal(Exception):
    pass


KINDS = ("answer", "transient", "fatal", "unaccepted")

#: Durations that are no sums of one another, so that no two things happen at one instant.
primes = st.sampled_from([2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37])
steps = st.lists(st.tuples(primes, st.sampled_from(KINDS)), min_size=6, max_size=6)


def model(delay: float, extra: int, script: list[tuple[float, str]]) -> tuple[list[float], str, int, float]:
    """Instants of the starts, what comes out ("answer", "transient", ...), of which copy, and when: event by event."""
    starts: list[float] = []
    queue: list[tuple[float, int, str]] = []
    timer = math.inf
    failed: list[int] = []

    def start(at: float) -> None:
        nonlocal timer
        takes, kind = script[len(starts)]
        starts.append(at)
        heapq.heappush(queue, (at + takes, len(starts), kind))
        timer = at + delay if len(starts) <= extra else math.inf

    start(0.0)
    while queue:
        if timer < queue[0][0]:
            start(timer)
            continue
        at, copy, kind = heapq.heappop(queue)
        if kind in ("answer", "fatal"):
            return starts, kind, copy, at
        failed.append(copy)
        if len(starts) <= extra:
            start(at)
    return starts, script[0][1], 1, at


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@given(delay=st.sampled_from([1.37, 4.71, 9.13, 40.59]), extra=st.integers(1, 5), script=steps)
def test_a_race_goes_as_the_model_says(backend: str, delay: float, extra: int, script: list[tuple[float, str]]) -> None:
    """Who starts when, who wins, when it is over; and nobody runs behind the end."""
    # Each copy's own fraction keeps two copies from ending at one instant.
    script = [(takes + 0.001 * index, kind) for index, (takes, kind) in enumerate(script)]
    starts: list[float] = []
    running = 0

    async def work() -> tuple[str, int]:
        nonlocal running
        starts.append(anyio.current_time() - begun)
        copy = len(starts)
        takes, kind = script[copy - 1]
        running += 1
        try:
            await anyio.sleep(takes)
        finally:
            running -= 1
        if kind in ("transient", "fatal"):
            raise {"transient": Transient, "fatal": Fatal}[kind](copy)
        return kind, copy

    begun = 0.0

    async def main() -> tuple[str, int, float]:
        nonlocal begun
        begun = anyio.current_time()
        policy = Pipeline(hedge.after(delay, extra=extra, fatal=Fatal, accept=lambda answer: answer[0] == "answer"))
        try:
            kind, copy = await policy.do(work)
        except (Transient, Fatal) as error:
            kind, copy = type(error).__name__.lower(), error.args[0]
        assert running == 0
        return kind, copy, anyio.current_time() - begun

    outcome = run_virtual(main, backend=backend)

    expected_starts, *expected = model(delay, extra, script)
    assert starts == pytest.approx(expected_starts)
    assert len(starts) <= 1 + extra
    assert outcome[:2] == tuple(expected[:2])
    assert outcome[2] == pytest.approx(expected[2])


@given(
    quantile=st.sampled_from([0.5, 0.9, 0.95, 0.99]),
    samples=st.lists(st.floats(0, 1e6) | st.sampled_from([0.0, 1.0, 2.0]), max_size=700),
)
def test_the_moving_quantile_is_that_of_the_latest_samples(quantile: float, samples: list[float]) -> None:
    """Nearest rank, by its definition: the smallest sample that enough others do not exceed."""
    latencies = Latencies(quantile)
    for sample in samples:
        latencies.record(sample)

    latest = samples[-latencies.window :]
    found = latencies.value()

    assert len(latencies) == len(latest)
    assert (found is None) == (len(latest) < latencies.warmup)
    if found is not None:
        enough = quantile * len(latest) - 1e-6
        assert found == min(one for one in latest if sum(other <= one for other in latest) >= enough)
