"""The moving quantile by itself: edges of its window and of its warm-up."""

import pytest

from longrun.hedge.latency import Latencies


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.95, 0.99])
def test_it_speaks_with_the_last_sample_of_the_warm_up(quantile: float) -> None:
    """Not one before."""
    latencies = Latencies(quantile)
    for _ in range(latencies.warmup - 1):
        latencies.record(1.0)
    before = latencies.value()

    latencies.record(1.0)

    assert (before, latencies.value()) == (None, 1.0)


def test_the_oldest_sample_leaves_a_full_window_and_no_other() -> None:
    """The first 256 slow ones make way one by one."""
    latencies = Latencies(0.5)
    for _ in range(256):
        latencies.record(9.0)
    seen = []

    for _ in range(129):
        latencies.record(1.0)
        seen.append(latencies.value())

    # nearest rank of 256 samples at one half is the 128th
    assert seen == [9.0] * 127 + [1.0] * 2
    assert len(latencies) == 256


def test_the_value_is_a_sample_and_the_nearest_rank() -> None:
    """Of 1 to 100 seconds: the 50th, 90th and 95th, in whatever order they came."""
    found = []
    for quantile in (0.5, 0.9, 0.95):
        latencies = Latencies(quantile)
        for index in range(100):
            latencies.record(float(index * 37 % 100 + 1))
        found.append(latencies.value())

    assert found == [50.0, 90.0, 95.0]


def test_a_rank_or_a_number_of_samples_that_is_no_whole_one_is_the_next() -> None:
    """33.3 samples are 34; half of 21 is the 11th, also where one half would round down."""
    latencies = Latencies(0.5)
    for index in range(21):
        latencies.record(float(index + 1))

    assert (Latencies(0.94).warmup, Latencies(0.94).window) == (34, 256)
    assert latencies.value() == 11.0


def test_a_clock_that_was_set_back_makes_a_latency_of_nothing() -> None:
    """Not one below zero."""
    latencies = Latencies(0.5)
    for _ in range(20):
        latencies.record(-3.0)

    assert latencies.value() == 0.0
