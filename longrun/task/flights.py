"""Flights: the attempts in the air - launched, watched, ended when told, and handed over when they have landed.

One look at all of them serves time limits, critics and attempts that ignore their cancellation. It is due at the
earliest instant at which it could change anything, so an attempt that ends in time costs it nothing.
"""

import math
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import anyio
from anyio.abc import TaskGroup

from longrun.checkpoint.store import CheckpointStore
from longrun.clock import Clock, reader
from longrun.critic.supervision import Supervision
from longrun.deadline import current_run
from longrun.errors import RunKilled, StrayCancellation, TimeoutExceeded
from longrun.events import AttemptStarted, Event, RunStuck
from longrun.option import Call
from longrun.task.flight import GRACE, Ended, Flight
from longrun.task.run import Run
from longrun.task.spawn import Spawner, spawner
from longrun.task.stack import stack_of
from longrun.task.statistics import Tally
from longrun.task.unit import Unit

#: What is told of a flight that has landed: what it raised, and whether it was interrupted by a stop or a removal.
Landed = Callable[[Flight, Exception | None, bool], None]

#: Rounding may let a look come this much before the instant that it was for.
_EPSILON = 1e-6


class Flights:
    """*tell* hears of every event, with *starts* also of attempts that begin; *land* is called last."""

    def __init__(
        self,
        clock: Clock,
        tally: Tally,
        tell: Callable[[Event], None],
        starts: bool,
        land: Landed,
        checkpoints: CheckpointStore | None = None,
    ) -> None:
        self.running: dict[str, Flight] = {}
        #: When :meth:`look` has to be called next.
        self.next_look = math.inf
        #: Called when that has come nearer between two looks.
        self.sooner: Callable[[], None] = lambda: None
        self._clock = clock
        self.now = clock.now
        self._tally = tally
        self._tell = tell
        self._starts = starts
        self._land = land
        self._checkpoints = checkpoints
        self._prefix = os.urandom(5).hex()
        self._count = 0
        self._outer_deadline = math.inf
        self._new_scope: Callable[[], anyio.CancelScope] = anyio.CancelScope
        self._spawn: Spawner | None = None
        self._supervision: Supervision[Flight] | None = None
        self._none_left: anyio.Event | None = None

    def open(self, tg: TaskGroup, outer_deadline: float) -> None:
        """Flights start from the context of the caller; they are to end by *outer_deadline* in any case."""
        self._spawn = spawner(tg)
        self.now = reader(self._clock)
        self._new_scope = type(anyio.CancelScope())  # the backend's own: anyio would look for it each time
        self._outer_deadline = outer_deadline
        self._supervision = Supervision(tg, self._clock, self._tell, self._judged)

    @property
    def slots(self) -> int:
        """How many slots are taken. An attempt that ignores its cancellation has lost its own."""
        return len(self.running) - self._tally.stuck

    async def wait(self) -> None:
        """Until the last one has landed, also those that ignore their cancellation: nothing outlives the runner."""
        while self.running:
            self._none_left = anyio.Event()
            await self._none_left.wait()

    async def end_critics(self, grace: float) -> tuple[str, ...]:
        """All have landed: what still runs of their critics after *grace* seconds, by name."""
        return () if self._supervision is None else await self._supervision.end(grace)

    async def take_down(self) -> None:
        """End all and wait until they have: the runner breaks off, and on asyncio they are nobody's children."""
        with anyio.CancelScope(shield=True):
            for flight in tuple(self.running.values()):
                self.end(flight, "stopped", "the runner breaks off")
            await self.wait()

    def launch(self, unit: Unit, now: float) -> None:
        """*unit* has a slot: its next attempt starts in this turn of the event loop, or the next."""
        unit.move("running")
        run, name = unit.run, unit.task.name
        if run is None:
            self._count += 1
            run = unit.run = Run(name, (self._prefix, self._count), self._checkpoints)
        flight = unit.flight = self.running[name] = Flight(unit, run, now)
        assert self._spawn is not None
        flight.handle = self._spawn(self._fly, flight, name)

    def end(self, flight: Flight, how: Ended, reason: str) -> bool:
        """Cancel *flight*; False when it is being ended already."""
        now = self.now()
        if not flight.end(how, reason, now):
            return False
        flight.run.deadline = min(flight.run.deadline, now)
        if how != "killed" and flight.watch is not None:
            flight.watch.end()
        if flight.consult is not None:
            flight.consult.cancel()
        self._look_at(now + GRACE)
        return True

    def kill(self, flight: Flight, reason: str, by: str) -> bool:
        """A kill is sticky: its first reason stays, and nothing undoes it in the life of this attempt."""
        if not self.end(flight, "killed", reason):
            return False
        if self._supervision is not None:
            self._supervision.killed(flight, reason, by)
        return True

    def shift(self, seconds: float) -> None:
        """The event loop was blocked for so long."""
        self._tally.blocks += 1
        self._tally.blocked += seconds
        now = self.now()
        for flight in self.running.values():
            # It may have begun while the loop was blocked.
            flight.shift(max(0.0, min(seconds, now - flight.started)))
            if flight.ended is None:
                flight.run.deadline = min(flight.deadline, self._outer_deadline)

    def _look_at(self, instant: float) -> None:
        if instant < self.next_look:
            self.next_look = instant
            self.sooner()

    # -- in the air --------------------------------------------------------------------------------------------------

    def look(self, now: float) -> None:
        """End what has outlived its limit, ask the critics of what has stalled, see who ignores its cancellation."""
        self.next_look = math.inf
        for flight in tuple(self.running.values()):
            self.next_look = min(self.next_look, self._look(flight, now))

    def _look(self, flight: Flight, now: float) -> float:
        if flight.ended is None:
            if now + _EPSILON < flight.well_until:
                return flight.well_until
            if now + _EPSILON >= flight.limit:
                self.end(flight, "timeout", "")
            elif (watch := flight.watched()) is not None:
                assert self._supervision is not None
                self._supervision.look(flight, now)
                flight.run.stalled |= watch.stalled
        if flight.ended is None:
            looks = math.inf if flight.watch is None else flight.watch.next_look(flight.run.last_progress)
            return min(flight.limit, looks)
        if flight.stuck:
            return math.inf
        if now + _EPSILON < flight.ended_at + GRACE:
            return flight.ended_at + GRACE
        self._give_up(flight, now)
        return math.inf

    def _give_up(self, flight: Flight, now: float) -> None:
        flight.stuck = True
        self._tally.stuck += 1
        stack = "(not started)" if flight.coroutine is None else stack_of(flight.coroutine)
        self._tell(RunStuck(flight.unit.name, flight.run.id, now - flight.ended_at, stack))

    def _judged(self, flight: Flight) -> None:
        """A critic has had its say: the flight is to end, or may go on for longer."""
        assert flight.watch is not None
        if flight.watch.killed is not None:
            self.end(flight, "killed", flight.watch.killed)
        elif flight.ended is None:
            flight.run.deadline = min(flight.deadline, self._outer_deadline)
            self._look_at(flight.watch.next_look(flight.run.last_progress))

    async def _fly(self, flight: Flight) -> None:
        assert self._spawn is not None
        try:
            run = self._take_off(flight)
            error: Exception | None = None
            scope = flight.scope = self._new_scope()
            if flight.ended is not None:  # between being given a slot and getting here
                scope.cancel()
            try:
                with scope:
                    work = flight.coroutine = _call(flight)
                    await work
            except anyio.get_cancelled_exc_class() as stray:
                if anyio.current_effective_deadline() == -math.inf:
                    raise
                error = StrayCancellation(f"task {run.task!r}: its work was cancelled by somebody else")
                error.__cause__ = stray
            except Exception as raised:  # noqa: BLE001 - work may raise anything: this is where failures are caught
                error = raised
            finally:
                if run.has_pending:
                    await run.flush()
                self._touch_down(flight)
            cancelled = scope.cancelled_caught
            if flight.ended is not None:
                error = _verdict(flight, error, cancelled)
            self._land(flight, error, cancelled and error is None)
        except BaseException as defect:  # noqa: BLE001 - nothing may get lost: it is raised again where it is seen
            self._spawn.let_out(defect)

    def _take_off(self, flight: Flight) -> Run:
        unit, run, now = flight.unit, flight.run, self.now()
        run.deadline = min(flight.begin(now), self._outer_deadline)
        if flight.well_until < self.next_look:
            self._look_at(flight.well_until)
        self._tally.started(now - unit.due)
        unit.last_started = now
        run.attempt += 1
        if run.nudges:
            run.nudges = ()
        current_run.set(run)
        if self._starts:
            self._tell(AttemptStarted(run.task, run.attempt, run.id))
        return run

    def _touch_down(self, flight: Flight) -> None:
        flight.scope = flight.coroutine = flight.unit.flight = None
        del self.running[flight.run.task]
        if flight.stuck:
            self._tally.stuck -= 1
        if self._none_left is not None and not self.running:
            self._none_left.set()
        if flight.watch is not None:
            flight.watch.end()
        if flight.consult is not None:
            flight.consult.cancel()


def _call(flight: Flight) -> Awaitable[object]:
    """The work of *flight*, ready to be awaited."""
    task = flight.unit.task
    terms, work = task.terms, cast("Callable[..., Awaitable[object]]", task.work)
    if not terms.layers:
        return work(flight.run) if terms.takes_run else work()
    call: Call[object] = partial(work, flight.run) if terms.takes_run else work
    for layer in reversed(terms.layers):
        call = partial(layer, call)
    return call()


def _verdict(flight: Flight, error: Exception | None, cancelled: bool) -> Exception | None:
    """What *flight* failed with. Work that had its result before it noticed that it was ended has it."""
    if flight.ended == "killed" and (cancelled or error is not None):
        killed = RunKilled(flight.reason, flight.unit.name)
        killed.__cause__ = error
        return killed
    if flight.ended == "timeout" and cancelled:
        return TimeoutExceeded(flight.unit.task.terms.timeout or 0.0, f"an attempt of {flight.unit.name!r}")
    return error
