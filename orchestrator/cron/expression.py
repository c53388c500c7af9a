"""Cron: an expression and its zone as a value that knows its next fire."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from typing import Protocol
from zoneinfo import ZoneInfo

from orchestrator.cron.errors import CronError, ExpressionError
from orchestrator.cron.fields import fields_of
from orchestrator.cron.grid import Grid
from orchestrator.cron.wall import WallClock
from orchestrator.cron.zone import SECOND, instant, load

_MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST_TEXT = 1000
_ZONE_PREFIX = re.compile(r"(?:CRON_TZ|TZ)=(\S*)\s*(.*)", re.DOTALL)

#: Whether an expression ever fires is judged from here on, so that it is accepted today and tomorrow alike.
_JUDGED_FROM = datetime(2000, 1, 1, tzinfo=UTC)


class Timing(Protocol):
    """What an expression comes down to."""

    def first(self, start: datetime, /) -> datetime | None:
        """The first fire at *start* (UTC, whole seconds) or after it."""
        ...

    def explain(self) -> str:
        """The same in English."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class Cron:
    """When something fires. Made by :meth:`parse`; ``Cron.parse(str(cron)) == cron``.

    *text* is the expression as it was written, *tz* the name of the zone whose wall clock it speaks of.
    """

    text: str
    tz: str
    _timing: Timing = field(compare=False)
    cautions: tuple[str, ...] = field(compare=False, default=())
    """What the expression does that its writer may not expect, one sentence each; for people."""

    @classmethod
    def parse(cls, text: str, tz: str = "UTC") -> "Cron":
        """Understand *text* in the zone *tz*. ExpressionError or ZoneError, both a CronError, when that cannot be.

        Five fields (minute hour day-of-month month day-of-week), six with the seconds first, one of ``@hourly @daily
        @midnight @weekly @monthly @yearly @annually``, or ``every 1h30m``. A prefix ``CRON_TZ=Europe/Berlin`` beats
        *tz*. An expression that can never fire, such as 31 February, is refused.
        """
        if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
            shown = repr(text) if not isinstance(text, str) else f"{len(text)} characters long"
            raise ExpressionError(f"the cron expression is {shown}; give a text such as '0 9 * * MON'", text=str(text))
        prefixed = _ZONE_PREFIX.fullmatch(text.strip())
        if prefixed:
            tz, text = prefixed.groups()
        text = " ".join(text.split())
        zone = load(tz)
        if text.lower().startswith("every"):
            return cls(text.lower(), tz, Grid(text))
        macro = text.lower() if text.startswith("@") else None
        if macro is not None and macro not in _MACROS:
            raise ExpressionError(_no_macro(text), text=text, value=text)
        written = macro or text.upper()
        timing, cautions = _calendar(_MACROS[macro] if macro else text, zone)
        return cls(written, tz, timing, cautions)

    @property
    def zone(self) -> ZoneInfo:
        """The zone itself: ``cron.next(after).astimezone(cron.zone)`` is what the wall clock shows."""
        return load(self.tz)

    @property
    def fields(self) -> str | None:
        """The five or six fields, a macro spelled out: ``0 0 * * *`` for ``@daily``. None for an interval."""
        return None if isinstance(self._timing, Grid) else _MACROS.get(self.text, self.text)

    def next(self, after: datetime) -> datetime:
        """The first fire later than *after*, which needs a zone. Always in UTC, and always later than *after*.

        CronError when *after* has no zone, or when there is no fire until the end of the calendar (year 9999).
        """
        start = instant(after, "the moment after which to fire")
        try:
            fire = self._timing.first(start.replace(microsecond=0) + SECOND)
        except OverflowError:
            fire = None
        if fire is None:
            raise CronError(f"{self!r} does not fire after {after.isoformat()} any more")
        return fire

    def fires(self, after: datetime) -> Iterator[datetime]:
        """Every fire later than *after*, one after the other, for as long as it is asked."""
        while True:
            after = self.next(after)
            yield after

    def upcoming(self, n: int, after: datetime) -> list[datetime]:
        """The first *n* fires later than *after*."""
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise CronError(f"the number of upcoming fires is {n!r}; give a whole number of at least 0")
        return list(islice(self.fires(after), n))

    def describe(self) -> str:
        """One sentence for people: ``At 09:00 on Monday (Europe/Berlin)``."""
        return f"{self._timing.explain()}{'' if isinstance(self._timing, Grid) else f' ({self.tz})'}"

    def __str__(self) -> str:
        return self.text if self.tz == "UTC" else f"CRON_TZ={self.tz} {self.text}"

    def __repr__(self) -> str:
        return f"<Cron {self}>"


def next_fire(expression: str, after: datetime) -> datetime:
    """``Cron.parse(expression).next(after)``, remembering expressions: the ``next`` of a :class:`CronRunner`."""
    return _parsed(expression).next(after)


@lru_cache(maxsize=4096)
def _parsed(expression: str) -> Cron:
    return Cron.parse(expression)


def _calendar(text: str, zone: ZoneInfo) -> tuple[WallClock, tuple[str, ...]]:
    fields = fields_of(text)
    clock_fields = fields[:-3]
    at_a_time = not any(each.value.startswith("*") for each in clock_fields)
    timing = WallClock(" ".join(each.value for each in fields), zone, at_a_time=at_a_time)
    if timing.first(_JUDGED_FROM) is None:
        raise ExpressionError(
            f"the cron expression {text!r} can never fire: no day fits all of day-of-month, month and day-of-week",
            text=text,
        )
    cautions = [caution for each in fields if (caution := each.caution())]
    if not any(each.value.startswith("*") for each in (fields[-3], fields[-1])):
        cautions.append("day-of-month and day-of-week are both given: a day that fits either of them fires")
    return timing, tuple(cautions)


def _no_macro(text: str) -> str:
    if text.lower().startswith("@every"):
        return f"no cron macro is called {text!r}; write {text[1:].lower()!r}, without the @"
    near = get_close_matches(text.lower(), _MACROS, 1, 0.5)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"no cron macro is called {text!r}; {meant}There are {', '.join(_MACROS)}"
