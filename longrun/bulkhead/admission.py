"""Admission: the bulkhead around one pipeline's calls."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from longrun.bulkhead.events import BulkheadRejected, BulkheadWaited
from longrun.bulkhead.slots import Slots
from longrun.clock import now
from longrun.errors import BulkheadFull
from longrun.events import emit
from longrun.option import Site
from longrun.waiter import Waiter

T = TypeVar("T")


class Admission:
    """A call runs when it has a slot, at once when one is free; else it waits in the queue or is refused."""

    __slots__ = ("_name", "_site", "_slots", "_words")

    def __init__(self, slots: Slots[Waiter], name: str | None, site: Site, words: str) -> None:
        self._slots = slots
        self._name = name
        self._site = site
        self._words = words

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        slots = self._slots
        if not slots.enter():
            await self._wait()
        try:
            return await call()
        finally:
            following = slots.leave()
            if following is not None:
                wake(slots, following)

    async def _wait(self) -> None:
        """Return with a slot, or raise without one."""
        slots, waiter, began = self._slots, Waiter(), now()
        answer = slots.join(waiter)
        if answer == "full":
            raise self._refused("is full")
        if answer == "admitted":
            return
        try:
            woken = await waiter.wait()
            waited = now() - began
            if not woken and waiter.phase == "waiting":
                raise self._refused(f"had no slot for {waited:.3g} s, and the deadline is here")
            if self._site.listeners:
                emit(self._site.listeners, BulkheadWaited(self._site.name, self._name, waited))
        except BaseException as error:
            # The slot may have come in the same turn as the cancellation: it goes on to the next in the queue.
            following = slots.withdraw(waiter)
            if following is not None:
                wake(slots, following)
            if not isinstance(error, Exception) and error.__cause__ is None:
                # Who cancels learns what it was that took so long; a time limit above makes it the cause of its error.
                error.__cause__ = self._full(f"had no slot for {now() - began:.3g} s")
            raise

    def _refused(self, reason: str) -> BulkheadFull:
        site, full = self._site, self._full(reason)
        if site.listeners:
            counts = self._slots.statistics()
            emit(
                site.listeners,
                BulkheadRejected(site.name, self._name, reason, counts.limit, counts.running, counts.queued),
            )
        return full

    def _full(self, reason: str) -> BulkheadFull:
        counts = self._slots.statistics()
        owner = f"bulkhead {self._name!r}" if self._name is not None else f"the bulkhead of {self._site.name!r}"
        return BulkheadFull(
            f"{owner} {reason}: {counts.running} of {counts.limit} running, {counts.queued} of {counts.queue} queued; "
            "call less at once, or raise the limit or the queue"
        )

    def describe(self) -> str:
        return self._words


def wake(slots: Slots[Waiter], waiter: Waiter) -> None:
    """Wake *waiter*, who has been given a slot; where its event loop is closed, the slot goes on to the next."""
    following: Waiter | None = waiter
    while following is not None:
        try:
            following.wake()
        except RuntimeError:
            following = slots.withdraw(following)
        else:
            return
