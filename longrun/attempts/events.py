"""Events of attempt stores: one at the beginning and one at the end of an outage. *subject* is ``attempts``."""

from dataclasses import dataclass
from typing import ClassVar

from longrun.events import Event


@dataclass(frozen=True, slots=True)
class AttemptStoreFailed(Event):
    """The store failed at *operation*; from now on attempts are kept in memory, and a restart would not know them."""

    name: ClassVar[str] = "attempt_store.failed"
    store: str
    operation: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class AttemptStoreRecovered(Event):
    """The store is there again after *duration* seconds and knows what it had missed: *caught_up* keys."""

    name: ClassVar[str] = "attempt_store.recovered"
    store: str
    duration: float
    caught_up: int
