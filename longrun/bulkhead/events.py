"""Events of bulkheads: one for each call that waited, and one for each that was refused."""

from dataclasses import dataclass
from typing import ClassVar

from longrun.events import Event


@dataclass(frozen=True, slots=True)
class BulkheadWaited(Event):
    """A call was let in after *wait* seconds in the queue of *bulkhead* (None: the pipeline's own)."""

    name: ClassVar[str] = "bulkhead.waited"
    bulkhead: str | None
    wait: float


@dataclass(frozen=True, slots=True)
class BulkheadRejected(Event):
    """A call was refused because of *reason*, with *running* of *limit* slots taken and *queued* calls waiting."""

    name: ClassVar[str] = "bulkhead.rejected"
    bulkhead: str | None
    reason: str
    limit: int
    running: int
    queued: int
