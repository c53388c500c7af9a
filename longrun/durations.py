"""Durations at the border: seconds or timedelta come in, finite float seconds go on."""

import sys
from datetime import timedelta
from typing import TypeAlias

Duration: TypeAlias = float | timedelta

_LONGEST = sys.float_info.max


def seconds(value: Duration, what: str, *, zero: bool = False) -> float:
    """*value* as seconds; ValueError that names *what* for NaN, infinity, negatives, booleans and other types."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LONGEST  # NaN is not
    if not fine or value < 0 or (value == 0 and not zero):
        least = "at least 0" if zero else "above 0"
        raise ValueError(f"{what} is {value!r}; give seconds as a finite number {least}, or a timedelta")
    return float(value)


def retries(value: int | None, what: str) -> int | None:
    """A retry budget: None is unlimited, n means n + 1 calls; ValueError for 0, negatives, booleans and other types."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{what} is {value!r}; give a whole number of at least 1, or None for no limit")
    return value
