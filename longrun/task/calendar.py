"""The calendar: which units are due, in ticks. Inserting is O(1); a moved or removed entry is left to fall out."""

import math
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Generic, Protocol, TypeVar

#: A unit due a rounding error behind a tick still belongs to it.
_EPSILON = 1e-6


class Entry(Protocol):
    """What the calendar keeps: an entry whose *tick* has moved since it was put in is stale."""

    tick: int


E = TypeVar("E", bound=Entry)


class Calendar(Generic[E]):
    """Entries by the tick in which they are due; a small heap holds only the ticks that are not empty."""

    __slots__ = ("_resolution", "_slots", "_ticks")

    def __init__(self, resolution: float) -> None:
        self._resolution = resolution
        self._slots: dict[int, list[E]] = {}
        self._ticks: list[int] = []

    def put(self, entry: E, due: float) -> None:
        """*entry* is due at *due*; where it stood before no longer counts."""
        tick = math.ceil(due / self._resolution - _EPSILON)
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [entry]
            heappush(self._ticks, tick)
        else:
            if slot[0].tick == tick:
                tick = slot[0].tick  # one number for all of a slot: each is an object of its own
            slot.append(entry)
        entry.tick = tick

    def drop(self, entry: E) -> None:
        """*entry* is not due any more."""
        entry.tick = -1

    def due(self, now: float) -> Iterator[E]:
        """Take out, tick by tick, what is due at *now*."""
        last = math.floor(now / self._resolution + _EPSILON)
        while self._ticks and self._ticks[0] <= last:
            tick = heappop(self._ticks)
            for entry in self._slots.pop(tick):
                if entry.tick == tick:
                    entry.tick = -1
                    yield entry

    def next_due(self) -> float:
        """When the next tick that is not empty begins; ``inf`` when there is none."""
        return self._ticks[0] * self._resolution if self._ticks else math.inf
