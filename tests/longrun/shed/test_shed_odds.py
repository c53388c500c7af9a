"""The odds of a refusal, number by number."""

import pytest

from longrun.shed.odds import patience, slowed, throttled, tolerances


def test_patience_grows_with_the_priority() -> None:
    """Half, once, twice and four times what k has above 1."""
    assert patience(2.0) == (1.5, 2.0, 3.0, 5.0)
    assert patience(1.1) == pytest.approx((1.05, 1.1, 1.2, 1.4))


@pytest.mark.parametrize(
    ("requests", "accepts", "odds"),
    [(0, 0, 0.0), (99, 50, 0.0), (99, 49, 0.01), (99, 0, 0.9), (9, 0, 0.9), (4, 0, 0.8), (99, 20, 0.59), (1, 0, 0.5)],
)
def test_the_throttle_refuses_what_exceeds_k_times_the_accepted(requests: int, accepts: int, odds: float) -> None:
    """(requests - 2 accepts) / (requests + 1), no more than nine tenths."""
    assert throttled(requests, accepts, 2.0, 0.9) == pytest.approx(odds)


def test_how_many_calls_may_be_slow_grows_with_the_priority() -> None:
    """Half of what the quantile allows, all of it, a quarter and half of the way from there to every call."""
    assert tolerances(0.8) == pytest.approx((0.1, 0.2, 0.4, 0.6))
    assert tolerances(0.95) == pytest.approx((0.025, 0.05, 0.2875, 0.525))


@pytest.mark.parametrize(
    ("calls", "fast", "odds"), [(0, 0, 0.0), (10, 10, 0.0), (10, 8, 0.0), (10, 7, 0.125), (10, 4, 0.5), (10, 0, 0.9)]
)
def test_the_odds_of_slow_calls_grow_in_a_straight_line(calls: int, fast: int, odds: float) -> None:
    """From the tolerated share of one fifth to nine tenths when all are slow."""
    assert slowed(calls, fast, 0.2, 0.9) == pytest.approx(odds)
