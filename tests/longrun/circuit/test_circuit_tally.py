"""When a circuit opens, by its counts alone."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun import circuit
from longrun.circuit.tally import Shares, Streak, tally_for
from longrun.testing import isolated

with isolated():
    BASE = circuit.breaker("upstream").settings


def shares(**keywords: Any) -> Shares:
    """A tally of rates."""
    return Shares(replace(BASE, **keywords))


@pytest.mark.parametrize(("failed", "slow"), [(True, False), (False, True)], ids=["failed", "slow"])
def test_one_bad_call_is_enough_where_one_call_is_the_minimum(failed: bool, slow: bool) -> None:
    """The whole of one call is bad."""
    tally = shares(minimum=1, failure_rate=1.0, slow_call=2.0, slow_rate=1.0)

    assert tally.add(0.0, failed, slow) is True


@pytest.mark.parametrize(
    ("failed", "slow", "opens"),
    [(1, 0, False), (0, 1, False), (1, 1, False), (2, 0, True), (0, 2, True), (2, 2, True)],
)
def test_of_four_calls_two_must_be_bad_in_one_and_the_same_way(failed: int, slow: int, opens: bool) -> None:
    """One that failed and one that was slow are a quarter each, and half is too bad."""
    tally = shares(minimum=4, failure_rate=0.5, slow_call=2.0, slow_rate=0.5)

    answers = [tally.add(0.0, index < failed, 4 - slow <= index) for index in range(4)]

    assert answers == [False, False, False, opens]


def test_a_good_call_alone_never_opens_anything() -> None:
    """Not even where one in a thousand is too many."""
    tally = shares(minimum=1, failure_rate=0.001, slow_call=2.0, slow_rate=0.001)

    assert tally.add(0.0, False, False) is False


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40),
    st.floats(0.01, 1),
    st.floats(0.01, 1),
    st.integers(1, 10),
    st.booleans(),
)
def test_it_opens_exactly_where_one_of_the_two_shares_is_reached(
    ended: list[tuple[bool, bool]], failure_rate: float, slow_rate: float, minimum: int, watched: bool
) -> None:
    """Failures and slow calls are judged apart, slow ones only where slowness is defined."""
    slowness: dict[str, Any] = {"slow_call": 2.0, "slow_rate": slow_rate} if watched else {}
    tally = shares(minimum=minimum, failure_rate=failure_rate, **slowness)

    for count, (failed, slow) in enumerate(ended, 1):
        answer = tally.add(0.0, failed, slow and watched)
        failures = sum(bad for bad, _ in ended[:count])
        slows = sum(late for _, late in ended[:count]) if watched else 0
        bad = failures >= failure_rate * count or (watched and slows >= slow_rate * count)
        assert answer is (count >= minimum and bad and failures + slows > 0)
        assert (tally.calls, tally.failures, tally.slow) == (count, failures, slows)


def test_the_reason_is_the_share_that_was_reached() -> None:
    """Failures first, when both are."""
    failing, slow, both = (shares(minimum=1, failure_rate=0.5, slow_call=2.0, slow_rate=0.5) for _ in range(3))
    failing.add(0.0, True, False)
    slow.add(0.0, False, True)
    both.add(0.0, True, True)

    assert failing.reason() == "1 of 1 calls failed within 30 s"
    assert slow.reason() == "1 of 1 calls took 2 s or longer within 30 s"
    assert both.reason() == "1 of 1 calls failed within 30 s"


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.integers(1, 6))
def test_a_streak_counts_the_bad_calls_since_the_last_good_one(ended: list[tuple[bool, bool]], threshold: int) -> None:
    """A slow call is a bad one; time does not matter."""
    tally, row, slows = Streak(threshold), 0, 0

    for now, (failed, slow) in enumerate(ended):
        bad = failed or slow
        row, slows = (row + 1, slows + slow) if bad else (0, 0)
        assert tally.add(now * 1e6, failed, slow) is (bad and row >= threshold)
        tally.slide(now * 1e6)
        assert (tally.calls, tally.failures, tally.slow) == (row, row, slows)


def test_a_threshold_makes_a_streak_and_its_absence_shares() -> None:
    """Settings have one or the other."""
    streak, rates = tally_for(replace(BASE, threshold=4)), tally_for(BASE)

    assert isinstance(streak, Streak)
    assert streak.threshold == 4
    assert isinstance(rates, Shares)
