"""Recorder: the work of every unit of every design - note that it started, yield to the event loop once, end."""

import math
from array import array
from collections.abc import Awaitable, Callable, Sequence

#: Share of an interval by which rounding may put a start before its due instant.
_EARLY = 0.1


class Recorder:
    """Counts starts, and keeps the instants of the first *room* of them in memory that is taken beforehand."""

    __slots__ = ("_room", "_units", "_when", "_yield", "clock", "count")

    def __init__(self, room: int, clock: Callable[[], float], yield_: Callable[[], Awaitable[None]]) -> None:
        self.clock = clock
        self._yield = yield_
        self._room = room
        self._when = array("d", [0.0]) * room
        self._units = array("i", [0]) * room
        self.count = 0

    async def run(self, unit: int) -> None:
        """One run of *unit*."""
        at = self.count
        self.count = at + 1
        if at < self._room:
            self._when[at] = self.clock()
            self._units[at] = unit
        await self._yield()

    def last(self) -> float:
        """When the last run started."""
        return max(self._when[: self.count], default=0.0)

    def lateness(self, dues: Sequence[float], interval: float, since: float) -> list[float]:
        """Seconds from due to start of each run since *since*, sorted. *dues*: one instant of the grid of each unit.

        NaN is an instant that nobody knows.
        """
        found = []
        for at in range(min(self.count, self._room)):
            if self._when[at] >= since and not math.isnan(dues[self._units[at]]):
                late = (self._when[at] - dues[self._units[at]]) % interval
                found.append(late - interval if late > interval * (1 - _EARLY) else late)
        return sorted(found)

    def placed(self, phases: Sequence[float], interval: float) -> list[float] | None:
        """The grids of units of which only the distances are known: where the least late run was in time.

        What that run was late by is missing in every figure. None when the distances do not fit what was seen.
        """
        offsets = [(self._when[at] - phases[self._units[at]]) % interval for at in range(min(self.count, self._room))]
        if not offsets:
            return None
        middle = offsets[0]
        around = sorted((offset - middle + interval / 2) % interval for offset in offsets)
        if around[len(around) // 2] - around[0] > interval / 8:
            return None
        origin = around[0] + middle - interval / 2
        return [origin + phase for phase in phases]


def quantile(ordered: Sequence[float], share: float) -> float:
    """The figure below which *share* of *ordered* lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
