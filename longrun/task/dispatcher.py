"""Dispatcher: which unit starts next, and when. Due units queue for slots, gates and limits, first due first served."""

import math
from collections import deque
from collections.abc import Iterable
from itertools import islice
from operator import attrgetter

import anyio
from anyio.lowlevel import checkpoint

from longrun.clock import Clock, is_virtual, reader, standstill
from longrun.task.alarm import Alarm, alarm
from longrun.task.calendar import Calendar
from longrun.task.flights import Flights
from longrun.task.limit import Limit, first_full
from longrun.task.unit import Unit
from longrun.task.watchdog import BEATS, Watchdog

#: Seconds by which the dispatcher may wake up late before the event loop counts as blocked.
LAG = 0.1

#: Attempts that are launched in one turn of the event loop. A herd that came up in one turn would hold up everything
#: else for as long, and every object of every attempt would be alive at once: the garbage collector then looks at all
#: of them again and again (measured: 1.7 of 4.8 s for 100,000 runs at one instant, against none).
LAUNCHES = 25


class Dispatcher:
    """Waits for the next due unit or the next look at the flights, whichever comes first; woken for earlier news.

    In real time it also wakes up a few times per second, so that it notices when the event loop was blocked.
    """

    def __init__(self, clock: Clock, resolution: float, max_running: int, flights: Flights) -> None:
        self._nap = math.inf
        self._watchdog: Watchdog | None = None
        self._clock = clock
        self._now = clock.now
        self._calendar: Calendar[Unit] = Calendar(resolution)
        self._queue: deque[Unit] = deque()
        self._queued = 0
        self._max_running = max_running
        self._flights = flights
        flights.sooner = self._look_sooner
        self._planned = math.inf
        self._alarm: Alarm | None = None

    @property
    def queued(self) -> int:
        """Units that are due and wait for a slot, or for a limit."""
        return self._queued

    def put(self, unit: Unit, due: float) -> None:
        """*unit* starts at *due*, or as soon after that as there is a slot; where it stood before no longer counts."""
        unit.due = due
        self._calendar.put(unit, due)
        if due < self._planned:
            self.wake()

    def drop(self, unit: Unit) -> None:
        """*unit* is not due any more. If it stands in a line, that place is passed over when its turn comes."""
        self._queued -= unit.phase == "queued"
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
        if self._alarm is not None:
            self._alarm.ring()

    async def serve(self, quiet: anyio.Event) -> None:
        """Start what is due until *quiet*."""
        self._alarm = alarm()
        self._now = reader(self._clock)
        self._planned = math.inf
        if not is_virtual():
            self._nap = min(self._nap, 1 / BEATS)
        standstill.add(self._stood_still)
        try:
            await self._serve(quiet, self._alarm)
        finally:
            standstill.discard(self._stood_still)
            if self._watchdog is not None:
                self._watchdog.close()

    async def _serve(self, quiet: anyio.Event, alarm: Alarm) -> None:
        while True:
            now = self._now()
            if self._watchdog is not None:
                self._watchdog.beat()
            if now - self._planned > LAG:
                self._flights.shift(now - self._planned)
            if quiet.is_set():
                return
            if now >= self._flights.next_look:
                self._flights.look(now)
            room = LAUNCHES
            for unit in self._calendar.due(now):
                room -= self._due(unit, now, room)
            if self._fill(now, room):
                self._planned = now
                await checkpoint()
                continue
            self._planned = min(self._calendar.next_due(), self._flights.next_look, now + self._nap)
            await alarm.wait(self._planned)

    def landed(self, unit: Unit) -> None:
        """A flight of *unit* has ended: its slot, and its share of the limits, go to who is next in the line."""
        limits = unit.limits
        if limits:
            for limit in limits:
                limit.give_back()
            self._offer(limits)
        if self._queue:
            self.wake()

    def _stood_still(self, seconds: float) -> None:
        """A test says so, and for how long: nothing has to be guessed."""
        if seconds > LAG:
            self._flights.shift(seconds)
        self._planned += seconds
        self.wake()

    def _look_sooner(self) -> None:
        if self._flights.next_look < self._planned:
            self.wake()

    def _due(self, unit: Unit, now: float, room: int) -> bool:
        """Launch *unit* when there is *room* in this turn and nobody stands before it, else it queues."""
        if unit.task.terms.gate is not None and self._park(unit, now):
            return False
        unit.move("queued")
        if room and not (self._queue or unit.lined or unit.limits) and self._flights.slots < self._max_running:
            self._flights.launch(unit, now)  # what nearly all do
            return True
        self._queued += 1
        if not unit.lined:
            unit.lined = True
            self._queue.append(unit)
        return False

    def _park(self, unit: Unit, now: float) -> bool:
        """Back to the calendar when the gate of *unit* is closed; it may have closed while the unit was queued."""
        gate = unit.task.terms.gate
        opens = gate.opens_for(unit.name, now) if gate is not None else None
        if opens is None:
            return False
        unit.move("waiting" if unit.run is None else "retrying")
        self.put(unit, opens)
        return True

    def _fill(self, now: float, room: int) -> bool:
        """Give slots to those who wait for them, at most *room*; whether there is one for more of them."""
        queue, flights = self._queue, self._flights
        while queue and flights.slots < self._max_running:
            if not room:
                return True
            unit = queue.popleft()
            unit.lined = False
            limits = unit.limits
            if unit.phase != "queued":
                self._offer(limits)  # it was paused or removed: the next one may go instead
                continue
            if unit.task.terms.gate is not None and self._park(unit, now):
                self._queued -= 1
                self._offer(limits)
                continue
            if limits:
                full = first_full(limits)
                if full is not None:
                    unit.lined = True
                    full.queue(unit)
                    self._offer(limits)  # the others of its limits may have room, which it does not use
                    continue
                for limit in limits:
                    limit.take()
            self._queued -= 1
            room -= 1
            flights.launch(unit, now)
        return False

    def _offer(self, limits: Iterable[Limit]) -> None:
        """Whoever waits for a limit that has room may ask for a slot, before those who came later."""
        offered = [unit for limit in limits for unit in islice(limit.line(), max(0, limit.runs - limit.used))]
        if len(offered) > 1:
            offered.sort(key=attrgetter("due"))
        self._queue.extendleft(reversed(offered))
