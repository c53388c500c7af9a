"""Laws that hold for every backoff curve, attempt number and random number."""

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longrun import backoff
from longrun.backoff import Curve

attempts = st.integers(0, 10**6)
seeds = st.integers(0, 2**32)
shares = st.floats(0, 1)


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    first = draw(st.floats(1e-3, 1e4))
    cap = first * draw(st.floats(1, 1e4))
    jitter = draw(shares)
    return draw(
        st.sampled_from(
            [
                backoff.constant(first, jitter=jitter),
                backoff.exponential(first, cap, draw(st.floats(1, 10)), jitter=jitter),
                backoff.fibonacci(first, cap, jitter=jitter),
                backoff.full_jitter(first, cap),
                backoff.equal_jitter(first, cap),
                backoff.decorrelated(first, cap),
            ]
        )
    )


@given(curves(), attempts, st.floats(0, 1e9), seeds)
def test_no_wait_is_ever_negative_or_above_the_cap(curve: Curve, attempt: int, previous: float, seed: int) -> None:
    """0 <= delay <= cap up to attempt 10**6, whatever the wait before was."""
    delay = curve(attempt, previous, Random(seed))

    assert 0 <= delay <= curve.cap
    assert math.isfinite(delay)


@given(curves(), attempts, seeds)
def test_a_curve_is_a_function_of_its_arguments(curve: Curve, attempt: int, seed: int) -> None:
    """The same attempt with the same chance gives the same wait: curves keep no state."""
    first = curve(attempt, 0.0, Random(seed))
    curve(attempt + 1, first, Random(seed + 1))

    assert curve(attempt, 0.0, Random(seed)) == first


@given(st.floats(1e-3, 1e4), st.floats(1, 1e4), st.floats(1, 10), attempts)
def test_exponential_without_jitter_never_falls(first: float, width: float, factor: float, attempt: int) -> None:
    """A later attempt never waits less than an earlier one."""
    curve = backoff.exponential(first, first * width, factor, jitter=0)

    assert curve(attempt, 0.0, Random(0)) <= curve(attempt + 1, 0.0, Random(0))


SPREADING: list[Callable[[], Curve]] = [
    lambda: backoff.exponential(1, 30),
    lambda: backoff.exponential(1, 30, jitter=1),
    lambda: backoff.fibonacci(1, 30),
    lambda: backoff.full_jitter(1, 30),
    lambda: backoff.equal_jitter(1, 30),
    lambda: backoff.decorrelated(1, 30),
]


@pytest.mark.parametrize("make", SPREADING, ids=lambda make: make().name)
@pytest.mark.parametrize("attempt", [8, 9, 50, 10**6])
def test_the_spread_survives_at_the_cap(make: Callable[[], Curve], attempt: int) -> None:
    """Of 200 callers waiting at the cap no two wait the same time, and none waits exactly the cap."""
    curve, rng = make(), Random(7)

    waits = [curve(attempt, 30.0, rng) for _ in range(200)]

    assert len(set(waits)) == 200
    assert max(waits) < 30
    assert max(waits) - min(waits) > 1


@given(st.floats(0.01, 1), st.integers(0, 3), seeds)
def test_jitter_stays_within_its_share(share: float, attempt: int, seed: int) -> None:
    """Below the cap a wait is off its curve by at most the share that was asked for."""
    plain = 2.0**attempt

    wait = backoff.exponential(1, 1000, jitter=share)(attempt, 0.0, Random(seed))

    assert plain * (1 - share) - 1e-9 <= wait <= plain * (1 + share) + 1e-9
