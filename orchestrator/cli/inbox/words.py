"""Durations, times and ages as people write and read them."""

import re
from datetime import UTC, datetime

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|s|m|h|d|w)\s*")
_STEPS = ((86400, "d"), (3600, "h"), (60, "min"))


def seconds(text: str) -> float:
    """The seconds of ``90``, ``30s``, ``5m``, ``1h30m``, ``7d``, ``2w``. ValueError for anything else."""
    said = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", said):
        return float(said)
    parts = _PART.findall(said)
    if not parts or _PART.sub("", said):
        raise ValueError(f"{text!r} is no duration; write 30s, 5m, 1h30m, 7d, 2w or plain seconds")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def moment(text: str) -> datetime:
    """The time of ISO *text*, which names its zone. ValueError for anything else."""
    example = "write it as 2030-01-31T09:00:00Z or 2030-01-31T09:00:00+01:00"
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; {example}") from None
    if time.utcoffset() is None:
        raise ValueError(f"{text!r} has no time zone; {example}")
    return time


def text(said: str) -> str:
    """*said*, which the shell may have given with bytes that are no UTF-8: a ValueError then."""
    try:
        said.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{said!r} is no UTF-8 text") from None
    return said


def iso(time: datetime | None) -> str | None:
    """*time* in UTC, as ISO 8601 has it; to the second when it is a whole one."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def span(length: float) -> str:
    """A length of time in one or two units: ``12 s``, ``3 min``, ``2 h 5 min``, ``4 d``."""
    whole = int(abs(length))
    for index, (size, unit) in enumerate(_STEPS):
        if whole >= size:
            rest = ""
            if index + 1 < len(_STEPS) and whole < 10 * size:
                below, name = _STEPS[index + 1]
                count = whole % size // below
                rest = f" {count} {name}" if count else ""
            return f"{whole // size} {unit}{rest}"
    return f"{whole} s"


def relative(time: datetime, now: datetime) -> str:
    """When *time* is, seen from *now*: ``5 min ago``, ``in 2 h``, ``now``."""
    away = (time - now).total_seconds()
    if abs(away) < 1:
        return "now"
    return f"in {span(away)}" if away > 0 else f"{span(away)} ago"
