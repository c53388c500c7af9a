"""Slots: who may run and who waits. It waits for nothing, wakes nobody and reads no clock."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import RLock
from typing import Generic, Literal, TypeVar

from longrun.bulkhead.settings import Settings, whole
from longrun.waiter import Place

W = TypeVar("W", bound=Place)

Answer = Literal["admitted", "queued", "full"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """A bulkhead by value: *running* of *limit* calls run, *queued* of *queue* wait."""

    limit: int
    queue: int
    running: int
    queued: int


class Slots(Generic[W]):
    """*limit* slots and a queue in order of arrival, shared by every call of one bulkhead, from any thread.

    Slots are counted, not lent to tasks: one task may hold several. A slot that is given back while somebody waits
    goes to the first of the queue without having been free, so that no newcomer overtakes; it counts as running from
    then on, and whoever was given it and does not come withdraws, which passes it on.
    """

    __slots__ = ("__weakref__", "_limit", "_lock", "_queue", "_running", "_waiting")

    def __init__(self, settings: Settings) -> None:
        # Re-entrant: a call that is collected as garbage gives its slot back wherever the collector happens to run,
        # and that may be in here, at any call that is made. Each statement leaves the counts true, and what was looked
        # at before a call is looked at again after it.
        self._lock = RLock()
        self._limit = settings.limit
        self._queue = settings.queue
        self._running = 0
        self._waiting: OrderedDict[W, None] = OrderedDict()

    def enter(self) -> bool:
        """Take a free slot; False when there is none. Slots are only free when nobody waits."""
        with self._lock:
            if self._running < self._limit:
                self._running += 1
                return True
            return False

    def join(self, waiter: W) -> Answer:
        """Take a slot that has become free meanwhile, or the last place of the queue, if there is one."""
        with self._lock:
            if self._running >= self._limit and len(self._waiting) >= self._queue:
                return "full"
            self._waiting[waiter] = None
            if self._running < self._limit:
                self._running += 1
                del self._waiting[waiter]
                waiter.phase = "admitted"
                return "admitted"
            return "queued"

    def leave(self) -> W | None:
        """Give a slot back. It is the returned waiter's, who must be woken."""
        with self._lock:
            if not self._waiting or self._running > self._limit:
                self._running -= 1
                return None
            waiter, _ = self._waiting.popitem(last=False)
            waiter.phase = "admitted"
            return waiter

    def withdraw(self, waiter: W) -> W | None:
        """*waiter* does not come. A slot that it had been given is the returned waiter's, who must be woken."""
        with self._lock:
            phase, waiter.phase = waiter.phase, "left"
            if phase == "waiting":
                self._waiting.pop(waiter, None)
            return self.leave() if phase == "admitted" else None

    def resize(self, limit: int) -> list[W]:
        """From now on *limit* calls may run; calls above it run to their end. The returned waiters must be woken."""
        whole("bulkhead limit", limit, 1)
        with self._lock:
            self._limit = limit
            admitted = []
            while self._waiting and self._running < limit:
                waiter, _ = self._waiting.popitem(last=False)
                self._running += 1
                waiter.phase = "admitted"
                admitted.append(waiter)
            return admitted

    def statistics(self) -> Statistics:
        """The counts of one instant."""
        with self._lock:
            return Statistics(self._limit, self._queue, self._running, len(self._waiting))

    def __repr__(self) -> str:
        now = self.statistics()
        return f"<Slots: {now.running} of {now.limit} running, {now.queued} of {now.queue} queued>"
