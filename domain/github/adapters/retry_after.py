"""How long an HTTP answer asks us to wait.

All of it is computed against the answer's own ``Date``: a local clock that is wrong by an hour must not turn a wait of
a minute into none, or into an hour.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: A wait longer than a day is a mistake (such as milliseconds for seconds), not a wish. GitHub's windows last an hour.
BELIEVABLE = 86_400.0


def server_time(headers: Mapping[str, str], fallback: float) -> float:
    """Unix time of the answer by its ``Date`` header, else *fallback*."""
    date = _http_date(headers.get("date"))
    return fallback if date is None else date


def retry_after(headers: Mapping[str, str], fallback_now: float) -> float | None:
    """Seconds asked for by ``Retry-After``, as a number or an HTTP date; None without it, when past or unreadable."""
    text = (headers.get("retry-after") or "").strip()
    if text.isascii() and text.isdigit():
        return believable(float(text))
    date = _http_date(text)
    return None if date is None else believable(date - server_time(headers, fallback_now))


def until_reset(headers: Mapping[str, str], fallback_now: float) -> float | None:
    """Seconds until ``X-RateLimit-Reset``; None without it, when past or unreadable."""
    text = (headers.get("x-ratelimit-reset") or "").strip()
    if not (text.isascii() and text.isdigit()):
        return None
    return believable(float(text) - server_time(headers, fallback_now))


def believable(seconds: float) -> float | None:
    """*seconds* when it is a wait that someone may mean."""
    return seconds if math.isfinite(seconds) and 0 < seconds <= BELIEVABLE else None


def iso(timestamp: float) -> str:
    """The instant as GitHub writes it."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _http_date(text: str | None) -> float | None:
    try:
        date = parsedate_to_datetime(text or "")
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
