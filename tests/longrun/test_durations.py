"""Durations and budgets at the border."""

from datetime import timedelta

import pytest

from longrun.durations import retries, seconds


@pytest.mark.parametrize(("given", "meant"), [(1, 1.0), (0.25, 0.25), (timedelta(minutes=2), 120.0)])
def test_numbers_and_timedeltas_become_float_seconds(given: float | timedelta, meant: float) -> None:
    """Seconds come in as int, float or timedelta and go on as float."""
    result = seconds(given, "x")

    assert result == meant
    assert type(result) is float


@pytest.mark.parametrize("given", [0, -1, True, False, "1", None, float("nan"), float("inf"), 10**400, timedelta(-1)])
def test_what_is_no_duration_is_refused_with_its_name(given: object) -> None:
    """The message names what was given, and what would be right."""
    with pytest.raises(ValueError, match=r"poll interval is .*give seconds as a finite number above 0"):
        seconds(given, "poll interval")  # type: ignore[arg-type]  # wrong on purpose


def test_zero_is_a_duration_only_where_it_is_allowed() -> None:
    """A delay may be 0, a timeout may not."""
    assert seconds(0, "x", zero=True) == 0.0
    with pytest.raises(ValueError, match="at least 0"):
        seconds(-0.1, "x", zero=True)


@pytest.mark.parametrize("given", [0, -1, -5, True, 1.5, "3"])
def test_a_retry_budget_below_one_is_refused_instead_of_meaning_something(given: object) -> None:
    """0, -1 and -5 mean neither "none" nor "for ever": they are refused."""
    with pytest.raises(ValueError, match="None for no limit"):
        retries(given, "x")  # type: ignore[arg-type]  # wrong on purpose


def test_no_budget_means_no_limit() -> None:
    """None is the one way to say without limit."""
    assert retries(None, "x") is None
    assert retries(4, "x") == 4
