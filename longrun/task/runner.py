"""Runner: keeps tasks going until they end, one fails for good, or it is told to stop.

Units wait on a calendar; only a due one becomes a coroutine, at most ``max_running`` at a time, first due first
served. A wait between two attempts goes through the calendar too: it holds neither a slot nor a coroutine.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import Literal, TypeAlias

import anyio
from anyio.abc import TaskGroup

from longrun.attempts.store import AttemptStore
from longrun.checkpoint.store import CheckpointStore
from longrun.clock import Clock, SystemClock, no_waits
from longrun.durations import Duration, seconds
from longrun.errors import RunKilled, RunnerError
from longrun.events import (
    Event,
    HookFailed,
    Listener,
    ShutdownStuck,
    StopRequested,
    TaskFailed,
    TaskRemoved,
    TicksSkipped,
    emit,
    hears_routine,
    hears_starts,
)
from longrun.failure.baseline import Baseline
from longrun.task import control, verdict
from longrun.task.dispatcher import Dispatcher
from longrun.task.flight import Flight
from longrun.task.flights import Flights
from longrun.task.outcome import HookFailure, Outcome, TaskFailure
from longrun.task.past import Past
from longrun.task.roster import Roster
from longrun.task.shutdown import run_hooks
from longrun.task.statistics import RunnerStatistics, Tally
from longrun.task.stop import Stop
from longrun.task.task import Task
from longrun.task.terms import RESOLUTION
from longrun.task.unit import TaskState, Unit
from longrun.task.watchdog import Watchdog

OnPermanent: TypeAlias = Literal["stop", "isolate"]


class Runner:
    """Runs tasks; used once.

    *baseline*: what is done about failures that no rule of a task speaks of; without one they are permanent.
    *on_permanent*: a task that fails for good stops the others (which get *settle* seconds to end their runs), or only
    itself. *shutdown_timeout*: seconds for a whole stop, hooks included. *hint_limit* tells the instant, on the event
    loop's clock, that no asked-for wait may pass; the task fails instead. *keep_open*: run on without any task, until
    stopped: tasks are added later. *watchdog*: when the event loop stands still for so many seconds, a thread says
    where; None: no thread. *attempts*: where it is kept over restarts how often tasks were retried and how long they
    have to wait; *checkpoints*: where ``run.checkpoint`` is. *namespace*: under which name in *attempts*.
    """

    def __init__(
        self,
        *,
        baseline: Baseline | None = None,
        shutdown_timeout: Duration = 30.0,
        clock: Clock | None = None,
        listeners: Iterable[Listener] = (),
        on_permanent: OnPermanent = "stop",
        settle: Duration = 0.0,
        max_running: int = 1000,
        resolution: float = RESOLUTION,
        rng: Random | None = None,
        hint_limit: Callable[[], float] = lambda: math.inf,
        keep_open: bool = False,
        watchdog: Duration | None = 1.0,
        attempts: AttemptStore | None = None,
        checkpoints: CheckpointStore | None = None,
        namespace: str = "tasks",
    ) -> None:
        if on_permanent not in ("stop", "isolate"):
            raise ValueError(f"Runner on_permanent is {on_permanent!r}; use 'stop' or 'isolate'")
        if isinstance(max_running, bool) or not isinstance(max_running, int) or max_running < 1:
            raise ValueError(f"Runner max_running is {max_running!r}; give a whole number of at least 1")
        self._stop = Stop(seconds(shutdown_timeout, "Runner shutdown_timeout"))
        self._settle = seconds(settle, "Runner settle", zero=True)
        self._clock = clock or SystemClock()
        self._listeners = tuple(listeners)
        self._routine = any(hears_routine(listener) for listener in self._listeners)
        starts = any(hears_starts(listener) for listener in self._listeners)
        self._isolate = on_permanent == "isolate"
        self._rng = rng or Random()
        self._tally = Tally()
        self._flights = Flights(self._clock, self._tally, self._emit, starts, self._landed, checkpoints)
        self._dispatcher = Dispatcher(self._clock, seconds(resolution, "Runner resolution"), max_running, self._flights)
        self._watchdog = None if watchdog is None else Watchdog(seconds(watchdog, "Runner watchdog"), self._emit)
        self._past = None if attempts is None else Past(attempts, namespace, self._clock, self._listeners)
        self._roster = Roster(self._dispatcher, baseline, self._rng, self._past)
        self._failures: list[TaskFailure] = []
        self._hook_failures: tuple[HookFailure, ...] = ()
        self._abandoned: tuple[str, ...] = ()
        self._tg: TaskGroup | None = None
        self._started = False
        self._placed = False
        self._over = False
        self._hint_limit = hint_limit
        self._keep_open = keep_open

    # -- what is run -------------------------------------------------------------------------------------------------

    def add(self, task: Task) -> None:
        """Take *task* in, also while running. RunnerError for a name that is taken, or after a stop."""
        if self._stop.reason is not None:
            raise RunnerError(f"task {task.name!r} comes too late: the runner stops ({self._stop.reason})")
        if self._tg is not None and self._quiet.is_set():
            raise RunnerError(f"task {task.name!r} comes too late: every task has ended, and so does the runner")
        unit = self._roster.take_in(task)
        if self._tg is not None and self._placed:
            self._roster.place(unit, self._clock.now())

    def remove(self, name: str) -> bool:
        """Take the task *name* out and forget it: it does not run again, a run in flight is cancelled.

        TaskRemoved tells when it is gone. False when it was over, or is on its way out already. RunnerError for a name
        that is not here.
        """
        unit = self._roster.unit(name)
        if unit.removed:
            return False
        if unit.over:
            self._roster.forget(unit)
            return False
        unit.removed = True
        if unit.flight is not None:
            self._flights.end(unit.flight, "stopped", "removed")
        else:
            self._roster.drop(unit)
            self._forget(unit)
            self._check_quiet()
        return True

    def pause(self, name: str, reason: str = "paused") -> bool:
        """No new attempt of the task starts until :meth:`resume`; a run in flight ends by itself.

        One without an end is asked to come to one: its ``stopping`` turns True.
        False when it is paused already (the first *reason* stays) or over. RunnerError for a name that is not here.
        """
        return control.pause(self._roster.unit(name), self._dispatcher, reason)

    def resume(self, name: str) -> bool:
        """A paused task goes on with its grid; points that passed meanwhile are counted as skipped. False: it was not
        paused. RunnerError for a name that is not here."""
        stopping = self._stop.reason is not None
        events = control.resume(self._roster.unit(name), self._dispatcher, self._now(), stopping=stopping)
        self._tell(events or ())
        return events is not None

    def trigger(self, name: str) -> None:
        """Run the task now, or once more right after the run in flight; its grid stays as it is.

        A wait before a retry is cut short; a paused task runs once and stays paused. RunnerError when it is not here,
        is over, or the runner stops.
        """
        unit = self._roster.unit(name)
        if unit.over or unit.removed or self._stop.reason is not None:
            gone = "it is being removed" if unit.removed else f"it has {unit.phase}"
            why = "the runner stops" if self._stop.reason is not None else gone
            raise RunnerError(f"task {name!r} cannot be run now: {why}")
        control.trigger(unit, self._dispatcher, self._now())

    def kill(self, name: str, reason: str) -> bool:
        """End the run in flight with RunKilled(*reason*); the task goes on as after any failure of its upstream.

        False when no run of it is in flight, or it is being ended already. RunnerError for a name that is not here.
        """
        flight = self._roster.unit(name).flight
        return flight is not None and self._flights.kill(flight, reason, "operator")

    def state(self) -> dict[str, TaskState]:
        """Every task as it stands, by name."""
        now = self._now()
        return {name: unit.state(now) for name, unit in self._roster.units.items()}

    def state_of(self, name: str) -> TaskState:
        """One task as it stands; RunnerError for a name that is not here."""
        return self._roster.unit(name).state(self._now())

    def task(self, name: str) -> Task:
        """The task as it was added; RunnerError for a name that is not here."""
        return self._roster.unit(name).task

    def statistics(self) -> RunnerStatistics:
        """The runner as a whole, by value."""
        return self._tally.statistics(self._roster.alive, len(self._flights.running), self._dispatcher.queued)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._roster.units))

    def __contains__(self, name: object) -> bool:
        return name in self._roster.units

    def __repr__(self) -> str:
        said = f", stops: {self._stop.reason}" if self._stop.reason else ""
        flights, queued = len(self._flights.running), self._dispatcher.queued
        return f"<Runner: {self._roster.alive} tasks, {flights} running, {queued} queued{said}>"

    # -- running -----------------------------------------------------------------------------------------------------

    async def run(self) -> Outcome:
        """Run until every task has ended or a stop is through; raises nothing for failed work.

        Cancelling it cancels the runs, runs the shutdown hooks and then goes on as a cancellation.
        """
        if self._started:
            raise RunnerError("this runner has run already; make a new one")
        self._started = True
        outer_deadline = anyio.current_effective_deadline()
        done = anyio.Event()
        async with anyio.create_task_group() as outer:
            outer.start_soon(self._serve, done, outer_deadline)
            try:
                await done.wait()
            except anyio.get_cancelled_exc_class():
                self.stop("cancelled from outside", drain=0.0)
                raise
        return self._outcome()

    async def _serve(self, done: anyio.Event, outer_deadline: float) -> None:
        # Shielded, so that a cancellation from outside goes down the ladder instead of through everything at once.
        with anyio.CancelScope(shield=True):
            self._quiet = anyio.Event()
            async with anyio.create_task_group() as tg:
                self._tg = tg
                self._flights.open(tg, outer_deadline)
                if self._watchdog is not None:
                    self._dispatcher.accompany(self._watchdog)
                if self._stop.reason is not None:
                    self._begin_stop()
                if self._past is not None:
                    await self._past.load()
                    tg.start_soon(self._past.write)
                now, self._placed = self._clock.now(), True
                for unit in self._roster.living():
                    self._roster.place(unit, now)
                self._check_quiet()
                tg.start_soon(self._dispatcher.serve, self._quiet)
                try:
                    await self._quiet.wait()
                except BaseException:
                    self._over = True  # it breaks off: a stop would come to nothing, and hide the reason
                    await self._flights.take_down()
                    raise
                self._dispatcher.wake()
                stuck = (*self._flights.running, *await self._run_hooks(tg))
                stuck += await self._flights.end_critics(self._stop.grace)
                if stuck:
                    self._emit(ShutdownStuck("runner", stuck))
                self._over = True
                await self._flights.wait()
                if self._past is not None:
                    await self._past.close(self._stop.grace)
            done.set()

    def _landed(self, flight: Flight, error: Exception | None, interrupted: bool) -> None:
        unit, run, now = flight.unit, flight.run, self._flights.now()
        tally = self._tally
        events: Sequence[Event] = ()
        if interrupted:
            tally.cancelled += 1
            events = tuple(verdict.interrupted(unit, run, flight.started, now))
        elif error is None:
            tally.succeeded += 1
            if self._past is not None:
                self._past.forgotten(run.task)
            events = verdict.succeeded(unit, run, flight.started, now, self._rng, routine=self._routine)
        else:
            tally.failed += 1
            tally.timed_out += flight.ended == "timeout"
            tally.killed += isinstance(error, RunKilled)
            events = tuple(verdict.failed(unit, run, error, flight.started, now, self._rng, self._hint_limit()))
            if self._past is not None and unit.phase == "retrying":
                self._past.failed(unit)
        if unit.over:
            self._roster.alive -= 1
        elif self._stop.reason is not None or unit.removed:
            unit.move("stopped")
            unit.run = None
            self._roster.alive -= 1
        else:
            if unit.phase == "retrying" and no_waits.get():
                unit.due = now
            control.landed(unit, self._dispatcher, now)
        if run.stalled and unit.run is None and unit.task.terms.stall is not None:
            unit.task.terms.stall.forget(run.id)
        if events:
            self._tell(events)
        if unit.removed:
            self._forget(unit)
        self._dispatcher.landed(unit)
        if not self._roster.alive:
            self._check_quiet()

    def _fail(self, event: TaskFailed) -> None:
        if isinstance(event.error, Exception):
            self._failures.append(TaskFailure(event.subject, event.error, event.reason))
        if not self._isolate:
            self.stop(f"{event.subject} failed: {event.reason}", drain=self._settle)

    # -- stopping ----------------------------------------------------------------------------------------------------

    def stop(self, reason: str, *, drain: Duration | None = None) -> str:
        """Stop: no new attempt starts, runs in flight get *drain* seconds, then they are cancelled, then abandoned.

        Returns the reason that holds: the first one given. A later call may shorten the drain, never lengthen it.
        """
        wanted = self._stop.longest_drain if drain is None else seconds(drain, "Runner.stop drain", zero=True)
        if self._over:  # nothing is left to stop, and a cancellation may still come by
            return self._stop.reason or reason
        if self._stop.reason is not None:
            if self._tg is not None:
                self._stop.shorten(self._clock.now() + wanted)
            return self._stop.reason
        self._stop.ask(reason, wanted)
        if self._tg is not None:
            self._begin_stop()
        return reason

    def _begin_stop(self) -> None:
        self._stop.begin(self._clock.now())
        for unit in self._roster.living():
            if unit.run is not None:
                unit.run.stopping = True
            if unit.flight is None:
                self._roster.drop(unit)
        self._dispatcher.clear()
        self._check_quiet()
        self._emit(StopRequested("runner", self._stop.reason or "", self._stop.drain))
        assert self._tg is not None
        self._tg.start_soon(self._ladder)

    def _forget(self, unit: Unit) -> None:
        self._roster.forget(unit)
        self._emit(TaskRemoved(unit.name))

    async def _ladder(self) -> None:
        self._abandoned = await self._stop.climb(self._quiet, self._flights, self._emit)
        self._quiet.set()

    def _check_quiet(self) -> None:
        if self._tg is not None and self._roster.alive == 0 and (self._stop.reason is not None or not self._keep_open):
            self._quiet.set()

    async def _run_hooks(self, tg: TaskGroup) -> tuple[str, ...]:
        deadline = self._stop.hooks_deadline(self._clock.now())
        hooks = tuple(reversed(self._roster.hooks))
        self._hook_failures, stuck = await run_hooks(hooks, deadline, self._stop.grace, tg)
        for failure in self._hook_failures:
            self._emit(HookFailed(failure.task, failure.error))
        return stuck

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock.now() if self._tg is not None and not self._over else 0.0

    def _outcome(self) -> Outcome:
        status: Literal["finished", "stopped", "failed"] = "finished"
        if self._failures:
            status = "failed"
        elif self._stop.reason is not None:
            status = "stopped"
        return Outcome(status, self._stop.reason, tuple(self._failures), self._hook_failures, self._abandoned)

    def _tell(self, events: Iterable[Event]) -> None:
        for event in events:
            self._emit(event)
            if isinstance(event, TaskFailed):
                self._fail(event)
            elif isinstance(event, TicksSkipped):
                self._tally.skipped[event.reason] += event.count

    def _emit(self, event: Event) -> None:
        if self._listeners:
            emit(self._listeners, event)
