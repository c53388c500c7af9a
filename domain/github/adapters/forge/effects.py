"""What each kind of trouble puts in place of an answer."""

import math
from datetime import datetime, timedelta
from email.utils import format_datetime

from domain.github.adapters.forge.answer import JSON_TYPE, Answer, ok, problem
from domain.github.adapters.forge.ratelimit import RateWindow
from domain.github.adapters.forge.trouble import Kind, Trouble

_LIMITS = "https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api"
PRIMARY_DOCS = f"{_LIMITS}#about-primary-rate-limits"
SECONDARY_DOCS = f"{_LIMITS}#about-secondary-rate-limits"

_PRIMARY = "API rate limit exceeded for user ID 20000001."
_SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
_PAGE = b"<!DOCTYPE html>\n<html><head><title>Unicorn!</title></head><body>This page took too long.</body></html>\n"


def exhausted(status: int = 403) -> Answer:
    """The primary limit is spent."""
    return problem(status, _PRIMARY, documentation=PRIMARY_DOCS)


def replacement(trouble: Trouble, now: datetime) -> Answer | None:
    """The answer that *trouble* gives instead of the right one; None when it only spoils the way to the client.

    *now* is the time by the server's own clock, skew included.
    """
    after = {"Retry-After": str(math.ceil(trouble.wait))}
    match trouble.kind:
        case Kind.PRIMARY_LIMIT | Kind.RESET_IN_THE_PAST:
            return exhausted(403)
        case Kind.PRIMARY_LIMIT_429:
            return exhausted(429)
        case Kind.RETRY_AFTER:
            return problem(429, "Too many requests").having(after)
        case Kind.TOO_MANY_REQUESTS:
            return problem(429, "Too many requests")
        case Kind.SECONDARY_LIMIT:
            return problem(403, _SECONDARY, documentation=SECONDARY_DOCS).having(after)
        case Kind.SECONDARY_LIMIT_BARE:
            return problem(403, _SECONDARY, documentation=SECONDARY_DOCS)
        case Kind.UNAVAILABLE_SECONDS:
            return problem(503, "Service unavailable").having(after)
        case Kind.UNAVAILABLE_DATE:
            return problem(503, "Service unavailable").having({"Retry-After": http_date(now, trouble.wait)})
        case _:
            return _without_advice(trouble.kind)


def _without_advice(kind: Kind) -> Answer | None:
    """The kinds whose answer is always the same."""
    match kind:
        case Kind.INTERNAL_ERROR:
            return problem(500, "Server Error")
        case Kind.BAD_GATEWAY:
            return problem(502, "Server Error")
        case Kind.UNAVAILABLE:
            return problem(503, "Service unavailable")
        case Kind.HTML_ERROR:
            return Answer(502, _PAGE, {"Content-Type": "text/html; charset=utf-8"})
        case Kind.HTML_PAGE:
            return Answer(200, _PAGE, {"Content-Type": "text/html; charset=utf-8"})
        case Kind.ACCEPTED:
            return ok({}, 202)
        case Kind.UNAUTHORIZED:
            return problem(401, "Bad credentials")
        case Kind.NOT_FOUND:
            return problem(404, "Not Found")
        case Kind.NOT_MODIFIED:
            return Answer(304)
        case _:
            return None


def window_under(trouble: Trouble, window: RateWindow, now: datetime) -> RateWindow:
    """The rate limit as the answer's headers tell it."""
    match trouble.kind:
        case Kind.PRIMARY_LIMIT | Kind.PRIMARY_LIMIT_429:
            return window.exhausted_until(now + timedelta(seconds=trouble.wait))
        case Kind.RESET_IN_THE_PAST:
            return window.exhausted_until(now - timedelta(seconds=trouble.wait))
        case _:
            return window.shifted(trouble.ahead)


def spoiled(answer: Answer, kind: Kind) -> Answer:
    """*answer* with the damage that can be done to its bytes; what is done to the connection is the server's part."""
    if kind is Kind.BROKEN_JSON and answer.headers.get("Content-Type") == JSON_TYPE:
        return Answer(answer.status, answer.body[: max(1, len(answer.body) // 2)], answer.headers)
    return answer


def http_date(now: datetime, seconds: float = 0.0) -> str:
    """*now* and *seconds*, rounded up to a whole second, as an HTTP date (RFC 9110, 5.6.7)."""
    moment = now + timedelta(seconds=seconds)
    if seconds and moment.microsecond:
        moment = moment.replace(microsecond=0) + timedelta(seconds=1)
    return format_datetime(moment, usegmt=True)
