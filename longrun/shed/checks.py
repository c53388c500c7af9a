"""What the numbers given to the shedding options must be."""

import math

from longrun.errors import PipelineError


def count(value: int, what: str) -> None:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PipelineError(f"{what} is {value!r}; give a whole number of at least 1")


def above_one(value: float, what: str) -> None:
    """A finite number above 1."""
    if not _number(value) or not 1 < value < math.inf:
        raise PipelineError(
            f"{what} is {value!r}; give a finite number above 1: at 1 or less a healthy service is shed"
        )


def share(value: float, what: str) -> None:
    """A number between 0 and 1, both excluded."""
    if not _number(value) or not 0 < value < 1:
        raise PipelineError(f"{what} is {value!r}; give a share above 0 and below 1")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
