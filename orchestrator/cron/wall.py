"""WallClock: the fires of calendar fields on the wall clock of a zone, as instants in UTC.

cronsim knows the calendar; it is asked about a wall clock without a zone. What happens when that clock is set forward
or back is decided here, by the rules of Debian's cron. They tell two kinds of job apart:

* **at a time**: neither second, minute nor hour begins with ``*``. Each wall time fires once: one that is skipped
  fires at the end of the gap (several of them once), one that is repeated fires the first time.
* **through the day**: one of them begins with ``*``. It fires whenever the clock shows a time that matches: not in a
  gap, and in a repeated hour twice.
"""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from orchestrator.cron.errors import ExpressionError
from orchestrator.cron.zone import DAY, SECOND, change, offset

if TYPE_CHECKING:
    from cronsim import CronSim

#: More than any change of a clock: so far before a fire its wall time cannot have been reached by a change.
_MARGIN = timedelta(hours=26)

#: No combination of fields that ever fires waits longer than 40 years (29 February on a given weekday, over 2100).
_PATIENCE = timedelta(days=50 * 366)


class WallClock:
    """The fires of *fields* (five or six, already understood) in *zone*."""

    __slots__ = ("_at_a_time", "_fields", "_zone")

    def __init__(self, fields: str, zone: ZoneInfo, *, at_a_time: bool) -> None:
        self._fields = fields
        self._zone = zone
        self._at_a_time = at_a_time

    def first(self, start: datetime) -> datetime | None:
        """The first fire at *start*, a whole second in UTC, or after it; None when there is none in 50 years."""
        return self._once(start) if self._at_a_time else self._each(start)

    def explain(self) -> str:
        """The fields in English."""
        return _simulator(self._fields, datetime(2000, 1, 1)).explain()  # noqa: DTZ001 - a wall clock has no zone

    def _once(self, start: datetime) -> datetime | None:
        before = start - SECOND  # a wall time that was skipped lies before that of the gap's end
        wall = self._match(_wall(before, offset(self._zone, before)) + SECOND)
        while wall is not None:
            fire = self._instant(wall)
            if fire >= start:
                return fire
            wall = self._match(wall + SECOND)  # the second time that the clock shows it
        return None

    def _each(self, start: datetime) -> datetime | None:
        reached = start
        while reached - start < _PATIENCE:
            ahead = offset(self._zone, reached)
            wall = self._match(_wall(reached, ahead))
            if wall is None:
                return None
            fire = _utc(wall, ahead)
            switch = change(self._zone, reached, reached + DAY)
            if fire < (switch or reached + DAY):
                return fire
            reached = switch or max(reached + DAY, fire - _MARGIN)
        return None

    def _instant(self, wall: datetime) -> datetime:
        early = _utc(wall, _offset_at(self._zone, wall, 0))
        if _wall(early, offset(self._zone, early)) == wall:
            return early
        return change(self._zone, _utc(wall, _offset_at(self._zone, wall, 1)), early) or early

    def _match(self, wall: datetime) -> datetime | None:
        """The first wall time at *wall* or after it that the fields name."""
        try:
            return next(_simulator(self._fields, wall - SECOND))
        except StopIteration:
            return None


def _simulator(fields: str, wall: datetime) -> "CronSim":
    try:
        from cronsim import CronSim, CronSimError
    except ImportError as missing:
        raise ExpressionError(
            f"the cron expression {fields!r} needs cronsim: pip install 'longrun-orchestrator[cron]', "
            "or write an interval such as 'every 5m'",
            text=fields,
        ) from missing
    try:
        return CronSim(fields, wall)
    except CronSimError as never:
        raise ExpressionError(
            f"the cron expression {fields!r} can never fire: {str(never).lower()}; no month that it names has that day",
            text=fields,
        ) from never


def _wall(moment: datetime, ahead: timedelta) -> datetime:
    return moment.replace(tzinfo=None) + ahead


def _utc(wall: datetime, ahead: timedelta) -> datetime:
    return (wall - ahead).replace(tzinfo=UTC)


def _offset_at(zone: ZoneInfo, wall: datetime, fold: int) -> timedelta:
    return wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta()
