"""Checks that the values of the contracts share."""

import sys

from orchestrator.contracts.errors import SpecError


def positive(what: str, value: object, *, zero: bool = False) -> None:
    """SpecError unless *value* is a number of seconds: finite and above 0, or 0 where that is allowed."""
    fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not fine or not isinstance(value, int | float) or value < 0 or (value == 0 and not zero):
        least = "at least 0" if zero else "above 0"
        raise SpecError(f"{what} is {value!r}; give seconds as a finite number {least}")
