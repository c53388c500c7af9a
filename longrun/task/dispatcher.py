"""Dispatcher: which unit starts next, and when. Due units queue for slots, gates and limits, first due first served."""

import math
from collections import deque
from collections.abc import Iterable
from itertools import islice

import anyio

from longrun.clock import Clock
from longrun.task.calendar import Calendar
from longrun.task.flights import Flights
from longrun.task.limit import Limit, first_full
from longrun.task.unit import Unit
from longrun.task.watchdog import Watchdog

#: Seconds by which the dispatcher may wake up late before the event loop counts as blocked.
LAG = 0.1


class Dispatcher:
    """Waits for the next due unit or the next look at the flights, whichever comes first; woken for earlier news.

    With a watchdog it also wakes up a few times per second, so that it notices when the event loop was blocked.
    """

    def __init__(self, clock: Clock, resolution: float, max_running: int, flights: Flights) -> None:
        self._nap = math.inf
        self._watchdog: Watchdog | None = None
        self._clock = clock
        self._calendar: Calendar[Unit] = Calendar(resolution)
        self._queue: deque[Unit] = deque()
        self._max_running = max_running
        self._flights = flights
        self._planned = math.inf
        self._wake: anyio.Event | None = None

    @property
    def queued(self) -> int:
        """Units that are due and wait for a slot."""
        return len(self._queue)

    def put(self, unit: Unit, due: float) -> None:
        """*unit* starts at *due*, or as soon after that as there is a slot; where it stood before no longer counts."""
        unit.due = due
        self._calendar.put(unit, due)
        if due < self._planned:
            self.wake()

    def drop(self, unit: Unit) -> None:
        """*unit* is not due any more. If it stands in a line, that place is passed over when its turn comes."""
        self._calendar.drop(unit)

    def accompany(self, watchdog: Watchdog) -> None:
        """Show *watchdog* that the event loop moves."""
        self._watchdog = watchdog
        self._nap = watchdog.open()

    def clear(self) -> None:
        """Nobody starts any more."""
        self._queue.clear()

    def wake(self) -> None:
        """Look at once at what is to be done."""
        if self._wake is not None:
            self._wake.set()

    async def serve(self, quiet: anyio.Event) -> None:
        """Start what is due until *quiet*."""
        self._planned = math.inf
        while not quiet.is_set():
            now = self._clock.now()
            if self._watchdog is not None:
                self._watchdog.beat()
            if now - self._planned > LAG:
                self._flights.shift(now - self._planned)
            if now >= self._flights.next_look:
                self._flights.look(now)
            for unit in self._calendar.due(now):
                self._due(unit, now)
            self._fill(now)
            self._wake = anyio.Event()
            self._planned = min(self._calendar.next_due(), self._flights.next_look, now + self._nap)
            with anyio.CancelScope(deadline=self._planned):
                await self._wake.wait()

    def landed(self, unit: Unit, now: float) -> None:
        """A flight of *unit* has ended: its slot, and its share of the limits, go to who is next in the line."""
        limits = unit.limits
        if limits:
            for limit in limits:
                limit.give_back()
            self._offer(limits)
        self._fill(now)
        if self._flights.next_look < self._planned:
            self.wake()

    def _due(self, unit: Unit, now: float) -> None:
        if not self._park(unit, now):
            unit.move("queued")
            self._queue.append(unit)

    def _park(self, unit: Unit, now: float) -> bool:
        """Back to the calendar when the gate of *unit* is closed; it may have closed while the unit was queued."""
        gate = unit.task.terms.gate
        opens = gate.opens_for(unit.name, now) if gate is not None else None
        if opens is None:
            return False
        unit.move("waiting" if unit.run is None else "retrying")
        self.put(unit, opens)
        return True

    def _fill(self, now: float) -> None:
        """Give slots to those who wait for them."""
        queue, flights = self._queue, self._flights
        while queue and flights.slots < self._max_running:
            unit = queue.popleft()
            limits = unit.limits
            if unit.phase != "queued" or self._park(unit, now):
                self._offer(limits)  # it was paused or removed, or its gate is closed: the next one may go instead
                continue
            full = first_full(limits)
            if full is not None:
                full.queue(unit)
                continue
            for limit in limits:
                limit.take()
            flights.launch(unit, now)

    def _offer(self, limits: Iterable[Limit]) -> None:
        """Whoever waits for a limit that has room may ask for a slot, before those who came later."""
        for limit in limits:
            offered = list(islice(limit.line(), max(0, limit.runs - limit.used)))
            self._queue.extendleft(reversed(offered))
