"""What becomes of a run whose handler raised."""

import math
from collections.abc import Callable
from typing import Protocol, TypeAlias

#: No hint counts for more than this, in seconds: the longest window of the usual rate limits.
HINT_CAP = 3600.0

#: No retry waits longer than this, in seconds, however often it failed.
BACKOFF_CAP = 86400.0


class FailureVerdict(Protocol):
    """What a classifier says of an error; :class:`longrun.failure.category.Failure` is one."""

    @property
    def category(self) -> object:
        """NODE, SERVICE, UNKNOWN or PERMANENT: a text or the member of an enum, in any case."""
        ...

    @property
    def wait_hint(self) -> float | None:
        """Seconds that the other side asked to wait at least."""
        ...


Classify: TypeAlias = Callable[[BaseException], FailureVerdict]


def retry_in(verdict: FailureVerdict, failures: int, max_attempts: int, random: Callable[[], float]) -> float | None:
    """Seconds until the run is tried again after *failures* failed executions, this one included; None: never.

    The hint of the other side when there is one (at most HINT_CAP) and up to a tenth more, for many are asked for the
    same; else 1, 4, 9, ... minutes (the wire format's own curve, at most BACKOFF_CAP), give or take a tenth. *random*
    gives numbers from 0 to 1.
    """
    if category_name(verdict) == "PERMANENT" or failures >= max_attempts:
        return None
    hint = verdict.wait_hint
    if hint is not None and not math.isnan(hint) and hint > 0:
        return min(hint, HINT_CAP) * (1 + 0.1 * random())
    return min(60.0 * failures * failures, BACKOFF_CAP) * (0.9 + 0.2 * random())


def category_name(verdict: FailureVerdict) -> str:
    """NODE, SERVICE, UNKNOWN or PERMANENT."""
    return str(getattr(verdict.category, "name", verdict.category)).upper()
