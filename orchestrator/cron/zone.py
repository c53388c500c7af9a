"""Time zones: found by name, asked for their offset, searched for the second in which it changes.

No zone of the tz database changes twice within 30 hours, and none by more than 24: a search of one day meets one
change at most.
"""

import zoneinfo
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from orchestrator.cron.errors import CronError, ZoneError

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def load(name: str) -> zoneinfo.ZoneInfo:
    """The zone *name*; ZoneError with the nearest names when there is none."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        near = ", ".join(_nearest(str(name)))
        remedy = f"did you mean {near}?" if near else "give a name of the tz database, for example Europe/Berlin"
        raise ZoneError(f"no time zone is called {name!r}; {remedy}", str(name)) from None


def _nearest(name: str) -> list[str]:
    wanted = name.strip().casefold().replace(" ", "_")
    known = {zone.casefold(): zone for zone in sorted(zoneinfo.available_timezones())}
    cities = {zone.rpartition("/")[2]: zone for zone in known if "/" in zone}
    found = [*get_close_matches(wanted, known, 3, 0.75)]
    found += [cities[city] for city in get_close_matches(wanted.rpartition("/")[2], cities, 2, 0.8)]
    return [known[zone] for zone in dict.fromkeys(found)][:3]


def instant(moment: datetime, what: str) -> datetime:
    """*moment* in UTC, where differences and comparisons are true; CronError for one without a zone."""
    if not isinstance(moment, datetime):
        raise CronError(f"{what} is {moment!r}; give a datetime with a time zone, for example datetime.now(UTC)")
    if moment.utcoffset() is None:
        raise CronError(f"{what} is {moment.isoformat()} without a time zone; add one, for example tzinfo=UTC")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise CronError(f"{what} is {moment.isoformat()}, outside the years 1 to 9999 in UTC") from None


def offset(zone: zoneinfo.ZoneInfo, moment: datetime) -> timedelta:
    """How far the wall clock of *zone* is ahead of UTC at the UTC instant *moment*."""
    return moment.astimezone(zone).utcoffset() or timedelta()


def change(zone: zoneinfo.ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The second in (*after*, *until*], a day at most, in which the offset changes; None when it stays."""
    before = offset(zone, after)
    if offset(zone, until) == before:
        return None
    low, high = 0, (until - after) // SECOND
    while high - low > 1:
        middle = (low + high) // 2
        if offset(zone, after + middle * SECOND) == before:
            low = middle
        else:
            high = middle
    return after + high * SECOND
