"""Hedging by the quantile of latencies."""

from random import Random
from threading import Thread

import anyio
import pytest

from longrun import Pipeline, hedge, observe
from longrun.hedge import HedgeStarted
from longrun.hedge.latency import Latencies
from longrun.testing import RecordingListener, Script, isolated


@pytest.mark.parametrize(
    ("quantile", "warmup", "window"),
    [(0.5, 20, 256), (0.9, 20, 256), (0.95, 40, 256), (0.99, 200, 500), (0.999, 2000, 5000)],
)
def test_warm_up_and_window_hold_samples_on_both_sides(quantile: float, warmup: int, window: int) -> None:
    """The figures of the manual."""
    latencies = Latencies(quantile)

    assert (latencies.warmup, latencies.window) == (warmup, window)


def test_threads_lose_no_sample() -> None:
    """Each with a share of the samples, all in one window."""
    latencies = Latencies(0.999)

    def record() -> None:
        for _ in range(1000):
            latencies.record(1.0)
            latencies.value()

    threads = [Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(latencies) == 4000


@pytest.mark.anyio
async def test_nothing_is_hedged_until_enough_is_known(events: RecordingListener) -> None:
    """Forty calls of 1 s, each as slow as any; the next slow one is hedged after 1 s."""
    policy = Pipeline(hedge.after(quantile=0.95), observe(events))
    for _ in range(40):
        await policy.do(Script(1.0))
    assert not events.of(HedgeStarted)
    begun = anyio.current_time()

    answer = await policy.do(Script(60.0, 0.5))

    assert answer == 0.5
    assert anyio.current_time() - begun == pytest.approx(1.5)
    assert events.of(HedgeStarted)[0].elapsed == pytest.approx(1)


@pytest.mark.anyio
async def test_hedges_do_not_pull_the_quantile_down(events: RecordingListener) -> None:
    """A beaten call counts with the time after which it was beaten: the share of hedged calls stays one in ten."""
    rng = Random(1)
    policy = Pipeline(hedge.after(quantile=0.9), observe(events))
    for _ in range(1000):
        takes = 8.0 if rng.random() < 0.05 else rng.uniform(1, 2)
        await policy.do(Script(takes, 0.01))

    hedged = [event.elapsed for event in events.of(HedgeStarted)]

    assert 70 <= len(hedged) <= 130
    assert min(hedged) > 1.7


@pytest.mark.anyio
async def test_failures_and_cancellations_are_no_latencies() -> None:
    """They say nothing about how long an answer takes."""
    with isolated():
        option = hedge.after(quantile=0.5, name="search")
        policy = Pipeline(option)
        for _ in range(30):
            with pytest.raises(KeyError):
                await policy.do(Script(KeyError()))
            with anyio.move_on_after(1):
                await policy.do(Script(5.0))

        assert option.latencies is not None
        assert len(option.latencies) == 0
