"""Retry-After: RFC 9110, section 10.2.3, as seconds from now."""

import math
import time

from longrun.preset.reading import header


def retry_after(headers: object) -> float | None:
    """Seconds that *headers* ask to wait; None without a wish, or with one that cannot be meant.

    ``Retry-After-Ms`` (Azure's and OpenAI's) is finer and goes first. A date counts from the answer's own ``Date``, so
    that a wrong clock here or there changes nothing, and from the clock here when there is none.
    """
    finer = _number(header(headers, "retry-after-ms"))
    if finer is not None:
        return finer / 1000
    wish = header(headers, "retry-after")
    if wish is None:
        return None
    seconds = _number(wish)
    if seconds is not None:
        return seconds
    until = _instant(wish)
    if until is None:
        return None
    sent = _instant(header(headers, "date"))
    return max(0.0, until - (time.time() if sent is None else sent))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value <= math.inf else None  # NaN is not


def _instant(text: str | None) -> float | None:
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
