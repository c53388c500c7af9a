"""Capabilities: plain attributes by which an error, or a response, says how it wants to be treated.

``retry_after`` (seconds), ``service_pressure``, ``retryable``, ``permanent``. Plain attributes, so that code which
raises needs to import nothing. A value that cannot be meant (a method, a property that raises, NaN, a negative number,
a string) is ignored and reported once per type.
"""

import logging
import math
from collections.abc import Iterable

_log = logging.getLogger("longrun.capabilities")
_reported: set[tuple[type, str]] = set()
_ABSENT = object()


def retry_after(subject: object) -> float | None:
    """Seconds that *subject* asks to wait at least; None when it does not say, or says nonsense."""
    value = _read(subject, "retry_after")
    if value is _ABSENT or value is None:
        return None
    hint = seconds_of(value)
    if hint is None:
        _report(subject, "retry_after", value, "seconds as a number of at least 0")
    return hint or None


def seconds_of(value: object) -> float | None:
    """*value* as a wait, ``inf`` for a number no float can hold; None when it cannot be meant as one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return math.inf if value > 0 else None
    return number if number >= 0 else None  # NaN is not


def flag(subject: object, name: str) -> bool:
    """Whether *subject* carries the attribute *name* as True; False, None and absence are no opinion."""
    value = _read(subject, name)
    if value is _ABSENT or value is None:
        return False
    if not isinstance(value, bool):
        _report(subject, name, value, "True or False")
        return False
    return value


def longest_hint(subjects: Iterable[object]) -> float | None:
    """The longest wait that any of *subjects* asks for."""
    hints = [hint for hint in map(retry_after, subjects) if hint is not None]
    return max(hints) if hints else None


def _read(subject: object, name: str) -> object:
    try:
        return getattr(subject, name, _ABSENT)
    except Exception as error:  # noqa: BLE001 - a property of foreign code may raise anything; it must not hide the failure
        _report(subject, name, error, "a plain attribute")
        return _ABSENT


def _report(subject: object, name: str, value: object, wanted: str) -> None:
    key = (type(subject), name)
    if key in _reported:
        return
    _reported.add(key)
    _log.warning("%s.%s is %r and is ignored; it must be %s", type(subject).__qualname__, name, value, wanted)
