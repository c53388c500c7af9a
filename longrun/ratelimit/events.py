"""Events of rate limits: one for each call that waited, and one for each that was refused."""

from dataclasses import dataclass
from typing import ClassVar

from longrun.events import Event


@dataclass(frozen=True, slots=True)
class RateLimitWaited(Event):
    """A call was let through after *wait* seconds in the line of *limit* (None: the pipeline's own)."""

    name: ClassVar[str] = "ratelimit.waited"
    limit: str | None
    wait: float


@dataclass(frozen=True, slots=True)
class RateLimitRejected(Event):
    """A call was refused because of *reason*; its token would have come in *retry_after* seconds."""

    name: ClassVar[str] = "ratelimit.rejected"
    limit: str | None
    reason: str
    retry_after: float
