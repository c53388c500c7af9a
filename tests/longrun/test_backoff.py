"""Backoff curves: exact tables, words, and arguments that make no sense."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest

from longrun import backoff
from longrun.backoff import Curve

rng = Random(1)


def table(curve: Curve, count: int) -> list[float]:
    waits, previous = [], 0.0
    for attempt in range(count):
        previous = curve(attempt, previous, rng)
        waits.append(previous)
    return waits


@pytest.mark.parametrize(
    ("curve", "waits"),
    [
        (backoff.exponential(2, 120, jitter=0), [2, 4, 8, 16, 32, 64, 120, 120]),
        (backoff.exponential(5, 300, jitter=0), [5, 10, 20, 40, 80, 160, 300]),
        (backoff.exponential(30, 300, jitter=0), [30, 60, 120, 240, 300, 300]),
        (backoff.exponential(1, 30, jitter=0), [1, 2, 4, 8, 16, 30]),
        (backoff.exponential(1, 5, 10, jitter=0), [1, 5, 5]),
        (backoff.exponential(3, 3, jitter=0), [3, 3]),
        (backoff.exponential(3, 9, 1, jitter=0), [3, 3, 3]),
        (backoff.exponential(0.1, 1.6, jitter=0), [0.1, 0.2, 0.4, 0.8, 1.6, 1.6]),
        (backoff.fibonacci(1, 10, jitter=0), [1, 1, 2, 3, 5, 8, 10, 10]),
        (backoff.constant(7), [7] * 10),
        (backoff.constant(0), [0, 0]),
    ],
    ids=str,
)
def test_without_jitter_a_curve_is_exact(curve: Curve, waits: list[float]) -> None:
    """The published tables, number by number."""
    assert table(curve, len(waits)) == pytest.approx(waits)


def test_the_default_curve_is_one_to_thirty_seconds_with_jitter() -> None:
    """A rule that is given no backoff waits 1, 2, 4, ... 30 s, spread by a tenth."""
    assert backoff.DEFAULT.cap == 30
    assert backoff.DEFAULT.jitter == pytest.approx(0.1)
    for attempt, plain in enumerate([1, 2, 4, 8, 16]):
        assert backoff.DEFAULT(attempt, 0.0, rng) == pytest.approx(plain, rel=0.1)


def test_durations_may_be_timedeltas() -> None:
    """A timedelta means its seconds."""
    curve = backoff.exponential(timedelta(milliseconds=500), timedelta(minutes=1), jitter=0)

    assert table(curve, 3) == [0.5, 1, 2]


def test_a_curve_prints_as_words() -> None:
    """The name of a curve is what an operator reads in describe()."""
    assert str(backoff.exponential(1, 30)) == "exponential 1 s x 2 up to 30 s"
    assert str(backoff.constant(0.5)) == "constant 0.5 s"


BAD: list[tuple[Callable[[], Curve], str]] = [
    (lambda: backoff.exponential(0, 30), "initial is 0"),
    (lambda: backoff.exponential(-1, 30), "initial is -1"),
    (lambda: backoff.exponential(float("nan"), 30), "initial is nan"),
    (lambda: backoff.exponential(1, float("inf")), "cap is inf"),
    (lambda: backoff.exponential(True, 30), "initial is True"),
    (lambda: backoff.exponential("1", 30), "initial is '1'"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: backoff.exponential(31, 30), "below its initial"),
    (lambda: backoff.exponential(1, 30, 0.5), "factor is 0.5"),
    (lambda: backoff.exponential(1, 30, float("nan")), "factor is nan"),
    (lambda: backoff.exponential(1, 30, float("inf")), "factor is inf"),
    (lambda: backoff.exponential(1, 30, jitter=-0.1), "jitter is -0.1"),
    (lambda: backoff.exponential(1, 30, jitter=1.1), "jitter is 1.1"),
    (lambda: backoff.exponential(1, 30, jitter=float("nan")), "jitter is nan"),
    (lambda: backoff.exponential(1, 30, jitter=True), "jitter is True"),
    (lambda: backoff.constant(-1), "constant seconds is -1"),
    (lambda: backoff.fibonacci(2, 1), "fibonacci cap is 1"),
    (lambda: backoff.full_jitter(0, 1), "initial is 0"),
    (lambda: backoff.equal_jitter(1, 0), "cap is 0"),
    (lambda: backoff.decorrelated(1, float("nan")), "cap is nan"),
]


@pytest.mark.parametrize(("make", "said"), BAD, ids=[said for _make, said in BAD])
def test_nonsense_is_refused_by_name_and_value(make: Callable[[], Curve], said: str) -> None:
    """One ValueError says which argument is wrong and what it was."""
    with pytest.raises(ValueError, match=said):
        make()
