"""Cron expressions as the tables hold them: five fields that every program on the same tables understands alike.

What we store is the narrow form. What others stored is understood wherever its meaning is certain.
"""

from functools import lru_cache

from orchestrator.cron import Cron, CronError
from orchestrator.inbox.errors import InvalidSchedule

_ZONES = ("CRON_TZ=", "TZ=")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def narrow(text: str, tz: str) -> Cron:
    """What a user wrote, as it is stored: ``.fields`` and ``.tz``. InvalidSchedule says what is wrong, and where.

    ``@daily`` and its kind become five fields, a Sunday that is written as 7 becomes 0, a prefix ``CRON_TZ=`` becomes
    the zone.
    """
    _refuse_miscounted(text)
    try:
        cron = Cron.parse(text, tz)
    except CronError as error:
        if isinstance(error.__cause__, ImportError):  # an interval would do without it, and is none for a schedule
            raise InvalidSchedule("schedules need cronsim: pip install 'longrun-orchestrator[cron]'") from error
        raise InvalidSchedule(str(error)) from error
    fields = (cron.fields or "").split()
    if len(fields) != 5:
        raise _too_wide(cron.text, "has six fields, the first of them seconds" if fields else "is an interval")
    if "L" in fields[2] or "L" in fields[4] or "#" in fields[4]:  # no day has an L in its name
        raise InvalidSchedule(
            f"the cron expression {cron.text!r} uses L, LW or #, which other programs on the same tables do not know; "
            "name days of the month, for example '0 0 1 * *', and let the handler look at the date"
        )
    fields[4] = ",".join(_weekdays(element) for element in fields[4].split(","))
    return Cron.parse(" ".join(fields), cron.tz)


@lru_cache(maxsize=4096)
def understood(text: str, tz: str) -> Cron:
    """A stored expression, whoever wrote it. Raises CronError when it means nothing certain.

    A ``?`` is a ``*``, a ``CRON_TZ=`` beats the zone, no zone is UTC, and of six fields the last one is the seconds:
    so mean it the programs that write such rows.
    """
    words = str(text).split()
    prefix = [words.pop(0)] if words and words[0].startswith(_ZONES) else []
    if len(words) == 6:
        words.insert(0, words.pop())
    words = ["*" if word == "?" else word for word in words]
    return Cron.parse(" ".join((*prefix, *words)), tz or "UTC")


def _refuse_miscounted(text: object) -> None:
    """Before the parser of all expressions, whose remedies are six fields and intervals: none for a schedule."""
    words = text.split() if isinstance(text, str) else ["@"]
    if words and words[0].startswith(_ZONES):
        words = words[1:]
    first = words[0].lower() if words else ""
    if first == "@every":
        raise _too_wide(text, "is an interval")
    if len(words) in (5, 6) or first.startswith(("@", "every")):
        return
    count = f"{len(words)} field{'' if len(words) == 1 else 's'}"
    macros = ", or @hourly, @daily, @weekly, @monthly, @yearly" if len(words) < 2 else ""
    raise InvalidSchedule(
        f"the cron expression {text!r} has {count}; give five: minute hour day-of-month month day-of-week{macros}"
    )


def _too_wide(text: object, what: str) -> InvalidSchedule:
    return InvalidSchedule(
        f"the cron expression {text!r} {what}; a schedule of the inbox has five fields and fires on the minute: give "
        "for example '*/5 * * * *', and use a worker's interval for what is more frequent"
    )


def _weekdays(element: str) -> str:
    """The same days from 0 to 6: programs disagree whether 7 is a day, and so where ``1/2`` ends."""
    base, slash, step = element.partition("/")
    if base == "*":
        return element
    first, dash, last = base.partition("-")
    low = _day(first)
    high = _day(last) if dash else low
    if not slash and high < 7:
        return element
    if slash and high == low:  # from there to the end of the week
        high = 7
    return ",".join(str(day) for day in sorted({day % 7 for day in range(low, high + 1, int(step or 1))}))


def _day(text: str) -> int:
    return _DAYS.index(text) if text in _DAYS else int(text)
