"""What each answer of the GitHub REST API means. Pure: an answer in, an error out.

=======================================================  ============================================================
403 or 429 with ``Retry-After`` (seconds or HTTP date)   RateLimited, that wait
403 or 429 with ``X-RateLimit-Remaining: 0``             RateLimited until ``X-RateLimit-Reset`` counted from the
                                                         answer's ``Date``; no wait when past, missing or absurd
403 or 429 marked as a secondary limit                   RateLimited, 60 s (GitHub: "wait for at least one minute")
403 or 429 whose message speaks of the rate limit        RateLimited, no wait
429 with no mark at all                                  RateLimited, no wait
500 and above, 408, 202 and other 2xx, a 304 to an       Unavailable, ``Retry-After`` when given
unconditional request, JSON of another shape
301, 307, 308                                            Renamed, with the place it points to
404, 410                                                 Missing
401, plain 403, 422, every other 4xx and 3xx             Refused, with the remedy
=======================================================  ============================================================
"""

import json
from collections.abc import Mapping

from domain.github.adapters.retry_after import retry_after, until_reset
from domain.github.errors import Missing, RateLimited, Refused, RemoteError, Renamed, Unavailable

#: GitHub's best practices: without Retry-After, wait at least a minute after a secondary limit.
SECONDARY_WAIT = 60.0

_SECONDARY_LINKS = ("secondary-rate-limits", "abuse-rate-limits")
_SECONDARY_WORDS = ("secondary rate limit", "abuse detection")

_REMEDIES = {
    400: "the request is malformed; check base_url",
    401: "the token is wrong, expired or revoked; set a valid github.token",
    403: "the token may not do this; give it access to the repository, with 'Issues: read and write'",
    404: "it does not exist, or the token may not see it; check the spelling and the token's repository access",
    407: "a proxy on the way wants credentials",
    410: "it is gone, or issues are switched off for this repository",
    422: "GitHub does not accept these values",
    451: "it is blocked for legal reasons",
}


def error_of(what: str, status: int, headers: Mapping[str, str], body: bytes, now: float) -> RemoteError:
    """The error that an answer with *status* other than success stands for.

    *what* names the request in the message. *headers* are looked up by lower-case name; *now* is Unix time, used only
    when the answer carries no ``Date``.
    """
    message, link = _said(body)
    said = f"{what} answered {status}" + (f" ({message})" if message else "")
    if status in {403, 429}:
        limited = _limit(said, status, headers, message.lower(), link, now)
        if limited is not None:
            return limited
    if status >= 500 or status < 300 or status in {304, 408}:
        wait = retry_after(headers, now)
        asked = "" if wait is None else f"; it asks to wait {wait:g} s"
        return Unavailable(f"{said}{asked}", wait)
    if status in {404, 410}:
        return Missing(f"{said}: {_REMEDIES[status]}", status)
    if status in {301, 307, 308}:
        location = headers.get("location")
        place = _one_line(location or "") or "a place the answer does not name"
        return Renamed(f"{said}: it moved to {place}", status, location)
    return Refused(f"{said}: {_REMEDIES.get(status, 'this answer was not expected; check base_url')}", status)


def nonsense(what: str, why: str) -> Unavailable:
    """The error for a successful answer that cannot be used: a proxy's page, a cut body, another shape."""
    return Unavailable(f"{what} gave an answer that is not what GitHub documents: {why}")


def _limit(
    said: str, status: int, headers: Mapping[str, str], message: str, link: str, now: float
) -> RateLimited | None:
    wait = retry_after(headers, now)
    if wait is not None:
        return RateLimited(f"{said}: rate limited for {wait:g} s", wait)
    if (headers.get("x-ratelimit-remaining") or "").strip() == "0":
        wait = until_reset(headers, now)
        return RateLimited(f"{said}: rate limit used up" + (f", reset in {wait:g} s" if wait else ""), wait)
    if any(mark in link for mark in _SECONDARY_LINKS) or any(words in message for words in _SECONDARY_WORDS):
        return RateLimited(f"{said}: secondary rate limit, waiting {SECONDARY_WAIT:g} s", SECONDARY_WAIT)
    if status == 429 or "rate limit" in message or "retry-after" in headers:
        return RateLimited(f"{said}: rate limited")
    return None


def _said(body: bytes) -> tuple[str, str]:
    """GitHub's message and documentation link, empty when the body is something else."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(answer, dict):
        return "", ""
    message, link = answer.get("message"), answer.get("documentation_url")
    return (_one_line(message) if isinstance(message, str) else ""), (link.lower() if isinstance(link, str) else "")


def _one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:200]
