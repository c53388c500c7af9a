"""Four categories of failure, and the failure as a value."""

from dataclasses import dataclass
from enum import Enum


class Category(Enum):
    """Whose failure it is, which decides how patiently it is retried."""

    NODE = "node"
    """The way there: connection, DNS, reset, time-out. Gone in seconds."""
    SERVICE = "service"
    """The other side asks for calm: rate limits, overload, 5xx."""
    UNKNOWN = "unknown"
    """Nothing known about it. Workers go on, degraded and loudly; preflights stop."""
    PERMANENT = "permanent"
    """Trying again cannot help."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a classifier says of an error: its category, and the seconds the other side asked to wait at least."""

    category: Category
    wait_hint: float | None = None
