"""Trouble on order: which request is hit by what. Pure: a queue and a request give a decision and the next queue."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What can happen to a request. *seconds* is the field of `Trouble`; in brackets, its default."""

    PRIMARY_LIMIT = "primary-limit"  # 403, X-RateLimit-Remaining: 0, Reset in *seconds* [60]
    PRIMARY_LIMIT_429 = "primary-limit-429"  # the same as 429
    RESET_IN_THE_PAST = "reset-in-the-past"  # 403, Remaining: 0, Reset *seconds* ago [30]
    RETRY_AFTER = "retry-after"  # 429 with Retry-After: *seconds* [2]
    TOO_MANY_REQUESTS = "too-many-requests"  # 429 and nothing that says why or for how long
    SECONDARY_LIMIT = "secondary-limit"  # 403 with Retry-After: *seconds* [60] and the marker in documentation_url
    SECONDARY_LIMIT_BARE = "secondary-limit-bare"  # the same without Retry-After
    INTERNAL_ERROR = "internal-error"  # 500
    BAD_GATEWAY = "bad-gateway"  # 502
    UNAVAILABLE = "unavailable"  # 503
    UNAVAILABLE_SECONDS = "unavailable-seconds"  # 503 with Retry-After: *seconds* [2]
    UNAVAILABLE_DATE = "unavailable-date"  # 503 with Retry-After: an HTTP date in *seconds* [2]
    HTML_ERROR = "html-error"  # 502 with a page in HTML
    HTML_PAGE = "html-page"  # 200 with a page in HTML, as a captive portal sends it
    ACCEPTED = "accepted"  # 202 with an empty object
    UNAUTHORIZED = "unauthorized"  # 401
    NOT_FOUND = "not-found"  # 404
    NOT_MODIFIED = "not-modified"  # 304, whether or not the request was conditional
    SLOW = "slow"  # the right answer, after *seconds* [1]
    BROKEN_JSON = "broken-json"  # the right status and headers, half of the JSON
    TRUNCATED = "truncated"  # the connection is closed after half of the body
    RESET = "reset"  # the connection is reset (RST) after half of the body
    CLOCK_SKEW = "clock-skew"  # the right answer from a server whose clock is *skew* seconds [3600] ahead


DEFAULT_SECONDS = {
    Kind.PRIMARY_LIMIT: 60.0,
    Kind.PRIMARY_LIMIT_429: 60.0,
    Kind.RESET_IN_THE_PAST: 30.0,
    Kind.RETRY_AFTER: 2.0,
    Kind.SECONDARY_LIMIT: 60.0,
    Kind.UNAVAILABLE_SECONDS: 2.0,
    Kind.UNAVAILABLE_DATE: 2.0,
    Kind.SLOW: 1.0,
}

# Half of nothing is nothing: under these a conditional request is answered in full, never with 304.
NEEDS_A_BODY = frozenset({Kind.BROKEN_JSON, Kind.TRUNCATED, Kind.RESET})


@dataclass(frozen=True)
class Trouble:
    """One order of trouble.

    *times*: how many requests it hits; 0 = every one until it is removed. *match*: a regular expression, searched in
    ``METHOD /path?query``. *after*: so many matching requests pass unharmed first. *seconds*: see `Kind`.
    *skew*: the server's clock, as Date, X-RateLimit-Reset and a Retry-After date show it, is so many seconds ahead.
    *served*: the request takes effect (a comment is stored) before its answer is replaced by the trouble's; of the
    kinds that give the right answer or half of it (slow, broken, truncated, reset, skewed) that is always true.
    """

    kind: Kind
    times: int = 1
    match: str = ""
    after: int = 0
    seconds: float | None = None
    skew: float | None = None
    served: bool = False

    def __post_init__(self) -> None:
        if self.times < 0:
            raise ValueError(f"times is {self.times!r}; use 1 or more, or 0 for every request")
        if self.after < 0:
            raise ValueError(f"after is {self.after!r}; use 0 or more requests")
        if self.seconds is not None and not 0 <= self.seconds <= 86_400:
            raise ValueError(f"seconds is {self.seconds!r}; use 0 to 86400")
        if self.skew is not None and not -1e9 <= self.skew <= 1e9:
            raise ValueError(f"skew is {self.skew!r}; use -1e9 to 1e9 seconds")
        try:
            re.compile(self.match)
        except re.error as error:
            raise ValueError(f"match is {self.match!r}, which is no regular expression: {error}") from error

    @property
    def wait(self) -> float:
        """*seconds*, or this kind's default."""
        return DEFAULT_SECONDS.get(self.kind, 0.0) if self.seconds is None else self.seconds

    @property
    def ahead(self) -> float:
        """*skew*, or this kind's default."""
        default = 3600.0 if self.kind is Kind.CLOCK_SKEW else 0.0
        return default if self.skew is None else self.skew

    def concerns(self, request: str) -> bool:
        """Whether *request* (``METHOD /path?query``) is one that this trouble is for."""
        return re.search(self.match, request) is not None


@dataclass(frozen=True)
class TroubleQueue:
    """Orders of trouble, first come first served; at most one hits a request."""

    pending: tuple[Trouble, ...] = ()

    def with_trouble(self, *troubles: Trouble) -> "TroubleQueue":
        """The queue with *troubles* at its end."""
        return TroubleQueue((*self.pending, *troubles))

    def decide(self, request: str) -> tuple["TroubleQueue", Trouble | None]:
        """What hits *request*, and the queue after it.

        Every pending trouble that the request concerns counts it against its *after*; the first one that has nothing
        left to let pass hits it.
        """
        hit: Trouble | None = None
        left: list[Trouble] = []
        for trouble in self.pending:
            if not trouble.concerns(request):
                left.append(trouble)
            elif trouble.after > 0:
                left.append(replace(trouble, after=trouble.after - 1))
            elif hit is not None:
                left.append(trouble)
            else:
                hit = trouble
                if trouble.times != 1:
                    left.append(replace(trouble, times=max(0, trouble.times - 1)))
        return TroubleQueue(tuple(left)), hit
