"""Grid: ``every 90s``, counted from the beginning of 1970 in UTC.

The anchor is the same in every process and at every start: a restart does not shift the grid, and two replicas agree.
Elapsed time is counted, so no zone and no change of the clock touches it.
"""

import re
from datetime import UTC, datetime, timedelta

from orchestrator.cron.errors import ExpressionError

ANCHOR = datetime(1970, 1, 1, tzinfo=UTC)

_LONGEST = timedelta(days=366)
_PERIOD = re.compile(r"(?:(\d{1,8})d)?(?:(\d{1,8})h)?(?:(\d{1,8})m)?(?:(\d{1,8})s)?", re.ASCII)
_UNITS = ("day", "hour", "minute", "second")


class Grid:
    """Fires at every whole multiple of *period* after :data:`ANCHOR`."""

    __slots__ = ("_amounts", "period")

    def __init__(self, text: str) -> None:
        period = "".join(text.lower().split()[1:])
        found = _PERIOD.fullmatch(period)
        if not period or found is None:
            raise ExpressionError(
                f"the interval {text!r} has the period {period!r}; write days, hours, minutes and seconds in this "
                "order: 'every 90s', 'every 5m', 'every 1h30m', 'every 1d'",
                text=text,
                value=period,
            )
        self._amounts = tuple(int(amount or 0) for amount in found.groups())
        days, hours, minutes, seconds = self._amounts
        self.period = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if not timedelta(seconds=1) <= self.period <= _LONGEST:
            raise ExpressionError(
                f"the interval {text!r} is {self.period.total_seconds():.0f} s; give at least 1s and at most 366d",
                text=text,
                value=period,
            )

    def first(self, start: datetime) -> datetime:
        """The first fire at *start* or after it."""
        return ANCHOR - (ANCHOR - start) // self.period * self.period

    def explain(self) -> str:
        """The interval in English."""
        named = zip(self._amounts, _UNITS, strict=True)
        parts = [f"{amount} {unit}{'' if amount == 1 else 's'}" for amount, unit in named if amount]
        return f"Every {' '.join(parts)}, counted from 1970-01-01 00:00 UTC"
