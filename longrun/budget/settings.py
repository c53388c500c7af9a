"""BudgetSettings: the numbers of a budget."""

import math
from dataclasses import dataclass

from longrun.errors import PipelineError

#: Finagle's RetryBudget: a fifth of the calls, at least ten per second, credits of ten seconds.
RATIO = 0.2
FLOOR = 10.0
WINDOW = 10.0


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """*ratio* extra attempts per call of the last 10 s, and *floor* per second that are always allowed.

    0 switches a part off; both 0 allow no extra attempt at all. PipelineError for NaN, infinity and negatives.
    """

    ratio: float = RATIO
    floor: float = FLOOR

    def __post_init__(self) -> None:
        object.__setattr__(self, "ratio", _number(self.ratio, "ratio", "extra attempts per call, for example 0.2"))
        object.__setattr__(self, "floor", _number(self.floor, "floor", "extra attempts per second, for example 10"))

    def __str__(self) -> str:
        return f"{self.ratio * 100:g} % of the calls of {WINDOW:g} s + {self.floor:g} per second"


def _number(value: float, name: str, remedy: str) -> float:
    fine = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf  # NaN is not
    if not fine:
        raise PipelineError(f"retry.budget {name} is {value!r}; give a finite number of at least 0: {remedy}")
    return float(value)
