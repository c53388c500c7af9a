"""What becomes of a schedule that is due: its fires now, and the time that it waits for next. Pure functions."""

import errno
import zoneinfo
from datetime import datetime, timedelta

from orchestrator.cron import CronError, Missed, ZoneError, due_fires, parse_missed
from orchestrator.inbox.errors import InvalidSchedule
from orchestrator.inbox.schedules.expression import understood
from orchestrator.inbox.store.schedules import Fire, ScheduleRecord

#: Of a row that names none: all that was missed becomes one run.
MISFIRE = "run_once"

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO})


def misfire_text(policy: Missed | str) -> str:
    """The policy as it is stored. Raises InvalidSchedule."""
    try:
        return str(parse_missed(str(policy)))
    except CronError as error:
        raise InvalidSchedule(str(error)) from error


def plan(schedule: ScheduleRecord, now: datetime, grace: timedelta) -> Fire:
    """The fires of *schedule* up to *now*; one that means nothing is parked with the reason.

    Raises CronError when it is this machine that cannot understand it: without cronsim, zones, or open files.
    """
    try:
        cron = understood(schedule.cron, schedule.timezone)
        policy = parse_missed(schedule.misfire or MISFIRE)
        fires = due_fires(cron, now, policy, next_run_at=schedule.next_run_at, grace=grace.total_seconds())
    except Exception as error:  # whatever a foreign row holds, it stops no other schedule
        if _is_of_this_machine(error):
            raise
        return Fire(schedule, (), None, f"{error}; correct it with update, then resume")
    return Fire(schedule, fires.now, fires.next)


def _is_of_this_machine(error: Exception) -> bool:
    """Whether the same row may be understood elsewhere or later."""
    origin = error.__cause__ or error.__context__
    if isinstance(error, ZoneError) and not zoneinfo.available_timezones():
        return True
    exhausted = isinstance(origin, OSError) and origin.errno in _EXHAUSTED
    return exhausted or isinstance(origin, ImportError) or isinstance(error, MemoryError)
