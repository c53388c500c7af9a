"""The ticker: turns schedules that are due into runs."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import random as chance

import anyio

from orchestrator.contracts import Connection
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.schedules.plan import plan
from orchestrator.inbox.store.schedules import Advanced
from orchestrator.sql import SqlError

#: The shortest sleep of :meth:`Ticker.run`, in seconds: what is due and held by another ticker is not asked for in a
#: busy loop.
SHORTEST_SLEEP = 0.1

#: The most schedules per transaction.
LARGEST_BATCH = 1000


@dataclass(frozen=True, slots=True)
class _Batch:
    found: int
    advanced: Advanced
    next_in: float | None


class Ticker:
    """Fires what is due, *batch* schedules per transaction. As many as you like, also of simple-workflow: none doubles.

    :meth:`run` goes on until :meth:`stop`; :meth:`tick` does what is due and returns, for an interval worker that asks
    :meth:`due` first. *interval*: seconds between two looks for schedules that other processes made; what was made here
    is known at once. *grace*: seconds by which a fire may be late and yet is not missed. *random* gives 0 to 1.
    """

    def __init__(
        self,
        inbox: Inbox,
        *,
        interval: float = 15.0,
        batch: int = 100,
        grace: float = 60.0,
        random: Callable[[], float] = chance,
        logger: logging.Logger | None = None,
    ) -> None:
        if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= LARGEST_BATCH:
            raise ValueError(f"Ticker: batch is {batch!r}; give a whole number from 1 to {LARGEST_BATCH}")
        for name, value in (("interval", interval), ("grace", grace)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
                raise ValueError(f"Ticker: {name} is {value!r}; give seconds above 0")
        self._schedules = inbox.schedules
        self._interval = interval
        self._batch = batch
        self._grace = timedelta(seconds=grace)
        self._random = random
        self._logger = logger or logging.getLogger("orchestrator.inbox")
        self._look_at = -math.inf
        self._known_rings = -1
        self._stopping = False

    def due(self) -> bool:
        """Whether :meth:`tick` may find work: a fire's time has come, or that of the next look. Asks nobody."""
        return self._known_rings != self._schedules.bell.rings or anyio.current_time() >= self._look_at

    async def tick(self, progress: Callable[[], None] | None = None) -> int:
        """Fire what is due until nothing is; how many runs that made. One cheap read when nothing is due.

        *progress* is called after every batch. A schedule that means nothing is parked: switched off, with its
        ``last_error``. Raises SqlError; what was committed before stays, and nothing is lost or doubled by another try.
        """
        try:
            return await self._tick(progress)
        finally:
            self._stopping = False  # one that was paused goes on

    async def _tick(self, progress: Callable[[], None] | None = None) -> int:
        self._known_rings, self._look_at = self._schedules.bell.rings, -math.inf
        made = 0
        next_in = await self._schedules.tables.read(self._schedules.store.next_in)
        while next_in == 0 and not self._stopping:
            done = await self._schedules.tables.transaction(self._fire)
            made += self._tell(done.advanced)
            next_in = done.next_in
            if progress is not None:
                progress()
            if not done.found:  # what is still due is in the hands of another ticker
                break
        wait = self._interval if next_in is None else min(self._interval, max(SHORTEST_SLEEP, next_in))
        self._look_at = anyio.current_time() + wait
        return made

    async def run(self) -> None:
        """Fire until :meth:`stop`. Errors of the database that pass are waited out; others are raised."""
        try:
            await self._run()
        finally:
            self._stopping = False

    async def _run(self) -> None:
        failures = 0
        while not self._stopping:
            try:
                await self._tick()
            except SqlError as error:
                if not getattr(error, "retryable", False):
                    raise
                failures += 1
                pause = min(60.0, 2.0**failures) * (0.9 + 0.2 * self._random())
                self._logger.warning("inbox.tick_failed: %s; again in %.0f s", error, pause)
            else:
                failures = 0
                pause = max(0.0, self._look_at - anyio.current_time())
            with anyio.move_on_after(pause):
                await self._schedules.bell.wait(self._known_rings)

    def stop(self) -> None:
        """Begin no other batch, and end the :meth:`run` or :meth:`tick` that goes on, or else the next."""
        self._stopping = True
        self._schedules.bell.ring()

    def _fire(self, connection: Connection) -> _Batch:
        store = self._schedules.store
        found = store.due(connection, self._batch)
        now = store.now(connection)
        advanced = store.advance(connection, [plan(schedule, now, self._grace) for schedule in found])
        return _Batch(len(found), advanced, store.next_in(connection))

    def _tell(self, advanced: Advanced) -> int:
        for schedule_id, error in advanced.parked.items():
            self._logger.error("schedule.parked: %s: %s", schedule_id, error)
        made = sum(not run.existed for run in advanced.runs)
        if made:
            self._logger.debug("schedule.fired: %d runs", made)
            self._schedules.submitted()
        return made

    def __repr__(self) -> str:
        return f"<Ticker every {self._interval:g} s>"
