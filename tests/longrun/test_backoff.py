"""Backoff curves: exact tables, words, and arguments that make no sense."""

from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest

from longrun import backoff
from longrun.backoff import Curve

rng = Random(1)


class Chance(Random):
    """Chance that always falls on *share* of the way."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def random(self) -> float:
        return self.share


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


@pytest.mark.parametrize(
    ("curve", "name", "cap", "jitter"),
    [
        (backoff.constant(7), "constant 7 s", 7, 0),
        (backoff.constant(8, jitter=0.5), "constant 8 s", 12, 0.5),
        (backoff.exponential(1, 30, 3, jitter=0.2), "exponential 1 s x 3 up to 30 s", 30, 0.2),
        (backoff.fibonacci(1, 30), "fibonacci 1 s up to 30 s", 30, 0.1),
        (backoff.fibonacci(1, 30, jitter=0), "fibonacci 1 s up to 30 s", 30, 0),
        (backoff.full_jitter(1, 30), "full jitter exponential 1 s x 2 up to 30 s", 30, 1),
        (backoff.equal_jitter(1, 30), "equal jitter exponential 1 s x 2 up to 30 s", 30, 0.5),
        (backoff.decorrelated(1, 30), "decorrelated 1 s up to 30 s", 30, 1),
    ],
    ids=str,
)
def test_a_curve_says_its_name_its_cap_and_its_jitter(curve: Curve, name: str, cap: float, jitter: float) -> None:
    """What describe() prints, and what a wait hint beside the curve is spread by."""
    assert (str(curve), curve.cap, curve.jitter) == (name, cap, jitter)
    assert backoff.jitter_of(curve) == jitter


def test_curves_of_the_same_numbers_are_equal_and_print_without_their_insides() -> None:
    """Two pipelines that name one breaker must be able to say the same thing twice."""
    assert backoff.exponential(1, 30) == backoff.exponential(1, 30)
    assert backoff.exponential(1, 30) != backoff.exponential(1, 31)
    assert repr(backoff.constant(7)) == "Curve(name='constant 7 s', cap=7.0, jitter=0.0)"


def test_a_plain_callable_as_backoff_spreads_hints_by_a_tenth() -> None:
    """It cannot say by how much, so the default is taken."""
    assert backoff.jitter_of(lambda _attempt, _previous, _rng: 5.0) == 0.1


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75])
@pytest.mark.parametrize(("attempt", "plain"), [(0, 2), (3, 16), (9, 100)])
def test_full_and_equal_jitter_are_the_published_formulas(share: float, attempt: int, plain: float) -> None:
    """Full: chance x curve. Equal: half of the curve, and chance x the other half."""
    full, equal = backoff.full_jitter(2, 100), backoff.equal_jitter(2, 100)

    assert full(attempt, 0.0, Chance(share)) == pytest.approx(share * plain)
    assert equal(attempt, 0.0, Chance(share)) == pytest.approx(plain / 2 + share * plain / 2)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75])
@pytest.mark.parametrize(("previous", "highest"), [(0.0, 6), (1.0, 6), (2.0, 6), (10.0, 30), (50.0, 100), (100.0, 100)])
def test_decorrelated_draws_between_the_first_wait_and_thrice_the_last(
    share: float, previous: float, highest: float
) -> None:
    """The upper end is below the cap before the draw; a draw is not clipped to it afterwards."""
    curve = backoff.decorrelated(2, 100)

    assert curve(5, previous, Chance(share)) == pytest.approx(2 + share * (highest - 2))


@pytest.mark.parametrize(
    ("share", "low", "high"), [(0.1, 9, 11), (0.5, 5, 15), (1, 0, 20)], ids=["a tenth", "half", "all"]
)
def test_jitter_goes_both_ways_by_its_share(share: float, low: float, high: float) -> None:
    """From plain - share to plain + share, the middle of the draw is the curve itself."""
    for curve in (
        backoff.constant(10, jitter=share),
        backoff.exponential(10, 1000, jitter=share),
        backoff.fibonacci(10, 1000, jitter=share),
    ):
        waits = [curve(0, 0.0, Chance(where)) for where in (0.0, 0.5, 1.0)]

        assert waits == pytest.approx([low, 10, high])


@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
def test_at_the_cap_jitter_goes_downward_only(where: float) -> None:
    """From cap - share to the cap: nobody is clipped onto one instant."""
    for curve in (backoff.exponential(10, 100, jitter=0.2), backoff.fibonacci(10, 100, jitter=0.2)):
        assert curve(50, 0.0, Chance(where)) == pytest.approx(80 + where * 20)


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
    (lambda: backoff.decorrelated(3, 2), r"^backoff\.decorrelated cap is 2 s, below its initial wait of 3 s"),
    (lambda: backoff.exponential(0, 1), r"^backoff\.exponential initial is 0;"),
    (lambda: backoff.fibonacci(1, 0), r"^backoff\.fibonacci cap is 0;"),
    (lambda: backoff.exponential(1, 2, True), "factor is True; give a finite number of at least 1$"),
    (lambda: backoff.exponential(1, 2, "2"), "factor is '2'"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: backoff.constant(1, jitter="0"), "jitter is '0'"),  # type: ignore[arg-type]  # wrong on purpose
]


@pytest.mark.parametrize(("make", "said"), BAD, ids=[said for _make, said in BAD])
def test_nonsense_is_refused_by_name_and_value(make: Callable[[], Curve], said: str) -> None:
    """One ValueError says which argument is wrong and what it was."""
    with pytest.raises(ValueError, match=said):
        make()
