"""Runner: keeps tasks going until they end, one fails for good, or it is told to stop.

Units wait on a calendar; only a due one becomes a coroutine, at most ``max_running`` at a time, first due first
served. A wait between two attempts goes through the calendar too: it holds neither a slot nor a coroutine.
"""

import itertools
import math
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Literal, TypeAlias, cast

import anyio
from anyio.abc import TaskGroup

from longrun.clock import Clock, SystemClock, no_waits
from longrun.deadline import current_run
from longrun.durations import Duration, seconds
from longrun.engine import Engine
from longrun.errors import RunnerError, StrayCancellation, TimeoutExceeded
from longrun.events import (
    AttemptStarted,
    Event,
    HookFailed,
    Listener,
    ShutdownStuck,
    StopRequested,
    TaskFailed,
    emit,
)
from longrun.failure.baseline import Baseline
from longrun.option import Call
from longrun.task import verdict
from longrun.task.calendar import Calendar
from longrun.task.outcome import HookFailure, Outcome, TaskFailure
from longrun.task.run import Run
from longrun.task.shutdown import run_hooks
from longrun.task.stop import Stop
from longrun.task.task import RESOLUTION, Task
from longrun.task.unit import TaskState, Unit

OnPermanent: TypeAlias = Literal["stop", "isolate"]


class Runner:
    """Runs tasks; used once.

    *baseline*: what is done about failures that no rule of a task speaks of; without one they are permanent.
    *on_permanent*: a task that fails for good stops the others (which get *settle* seconds to end their runs), or only
    itself. *shutdown_timeout*: seconds for a whole stop, hooks included. *hint_limit* tells the instant, on the event
    loop's clock, that no asked-for wait may pass; the task fails instead. *keep_open*: run on without any task, until
    stopped: tasks are added later.
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
    ) -> None:
        if on_permanent not in ("stop", "isolate"):
            raise ValueError(f"Runner on_permanent is {on_permanent!r}; use 'stop' or 'isolate'")
        if isinstance(max_running, bool) or not isinstance(max_running, int) or max_running < 1:
            raise ValueError(f"Runner max_running is {max_running!r}; give a whole number of at least 1")
        self._baseline = baseline
        self._stop = Stop(seconds(shutdown_timeout, "Runner shutdown_timeout"))
        self._settle = seconds(settle, "Runner settle", zero=True)
        self._clock = clock or SystemClock()
        self._listeners = tuple(listeners)
        self._isolate = on_permanent == "isolate"
        self._max_running = max_running
        self._rng = rng or Random()
        self._ids = (f"{prefix}-{n:x}" for prefix in [os.urandom(5).hex()] for n in itertools.count(1))
        self._units: dict[str, Unit] = {}
        self._calendar: Calendar[Unit] = Calendar(seconds(resolution, "Runner resolution"))
        self._queue: deque[Unit] = deque()
        self._running: dict[str, Unit] = {}
        self._alive = 0
        self._failures: list[TaskFailure] = []
        self._hook_failures: tuple[HookFailure, ...] = ()
        self._abandoned: tuple[str, ...] = ()
        self._outer_deadline = math.inf
        self._tg: TaskGroup | None = None
        self._started = False
        self._over = False
        self._hint_limit = hint_limit
        self._keep_open = keep_open

    # -- what is run -------------------------------------------------------------------------------------------------

    def add(self, task: Task) -> None:
        """Take *task* in, also while running. RunnerError for a name that is taken, or after a stop."""
        if task.name in self._units and not self._units[task.name].over:
            raise RunnerError(f"task {task.name!r} is already in this runner; names are unique")
        if self._stop.reason is not None:
            raise RunnerError(f"task {task.name!r} comes too late: the runner stops ({self._stop.reason})")
        if self._tg is not None and self._quiet.is_set():
            raise RunnerError(f"task {task.name!r} comes too late: every task has ended, and so does the runner")
        unit = Unit(task, Engine(task.rules, self._baseline))
        self._units[task.name] = unit
        self._alive += 1
        if self._tg is not None:
            self._schedule_first(unit)
            self._wake.set()

    def remove(self, name: str) -> bool:
        """Take the task *name* out: it does not run again, a run in flight is cancelled. False when it was over."""
        unit = self._units.get(name)
        if unit is None:
            raise RunnerError(f"there is no task {name!r} in this runner")
        if unit.over:
            return False
        if unit.phase == "running":
            unit.cancel()
        else:
            self._drop(unit)
            if self._tg is not None:
                self._check_quiet()
        return True

    def state(self) -> dict[str, TaskState]:
        """Every task as it stands, by name."""
        return {name: unit.state() for name, unit in self._units.items()}

    def __repr__(self) -> str:
        said = f", stops: {self._stop.reason}" if self._stop.reason else ""
        return f"<Runner: {self._alive} tasks, {len(self._running)} running, {len(self._queue)} queued{said}>"

    # -- running -----------------------------------------------------------------------------------------------------

    async def run(self) -> Outcome:
        """Run until every task has ended or a stop is through; raises nothing for failed work.

        Cancelling it cancels the runs, runs the shutdown hooks and then goes on as a cancellation.
        """
        if self._started:
            raise RunnerError("this runner has run already; make a new one")
        self._started = True
        self._outer_deadline = anyio.current_effective_deadline()
        done = anyio.Event()
        async with anyio.create_task_group() as outer:
            outer.start_soon(self._serve, done)
            try:
                await done.wait()
            except anyio.get_cancelled_exc_class():
                self.stop("cancelled from outside", drain=0.0)
                raise
        return self._outcome()

    async def _serve(self, done: anyio.Event) -> None:
        # Shielded, so that a cancellation from outside goes down the ladder instead of through everything at once.
        with anyio.CancelScope(shield=True):
            self._wake = anyio.Event()
            self._quiet = anyio.Event()
            async with anyio.create_task_group() as tg:
                self._tg = tg
                if self._stop.reason is not None:
                    self._begin_stop()
                for unit in self._units.values():
                    if not unit.over:
                        self._schedule_first(unit)
                self._check_quiet()
                tg.start_soon(self._dispatch)
                await self._quiet.wait()
                self._wake.set()
                stuck = (*self._running, *await self._run_hooks(tg))
                if stuck:
                    self._emit(ShutdownStuck("runner", stuck))
                self._over = True
            done.set()

    def _schedule_first(self, unit: Unit) -> None:
        now, task = self._clock.now(), unit.task
        unit.grid_due = now + task.delay
        unit.anchor = unit.grid_due if task.phase is None else now + task.phase
        unit.due = unit.grid_due + (self._rng.uniform(0, task.jitter) if task.jitter else 0.0)
        self._calendar.put(unit, unit.due)

    async def _dispatch(self) -> None:
        while not self._quiet.is_set():
            now = self._clock.now()
            for unit in self._calendar.due(now):
                self._due(unit, now)
            while self._queue and len(self._running) < self._max_running:
                unit = self._queue.popleft()
                if unit.phase == "queued" and not self._park(unit, now):  # else it was removed while it waited
                    self._start(unit)
            self._wake = anyio.Event()
            with anyio.CancelScope(deadline=self._calendar.next_due()):
                await self._wake.wait()

    def _due(self, unit: Unit, now: float) -> None:
        if not self._park(unit, now):
            unit.move("queued")
            self._queue.append(unit)

    def _park(self, unit: Unit, now: float) -> bool:
        """Back to the calendar when the gate of *unit* is closed; it may have closed while the unit was queued."""
        opens = unit.task.gate.opens_for(unit.name, now) if unit.task.gate is not None else None
        if opens is None:
            return False
        unit.move("waiting" if unit.run is None else "retrying")
        unit.due = opens
        self._calendar.put(unit, opens)
        return True

    def _start(self, unit: Unit) -> None:
        unit.move("running")
        self._running[unit.name] = unit
        # Always from the dispatcher: a run starts with the dispatcher's context, never with that of another run.
        self._task_group().start_soon(self._attempt, unit, name=unit.name)

    async def _attempt(self, unit: Unit) -> None:
        task = unit.task
        run = unit.run = unit.run or Run(task.name, next(self._ids))
        run.attempt += 1
        started = unit.last_started = self._clock.now()
        limit = math.inf if task.timeout is None else started + task.timeout
        run.deadline = min(limit, self._outer_deadline)
        current_run.set(run)
        self._emit(AttemptStarted(unit.name, run.attempt, run.id))
        error: Exception | None = None
        scope = unit.scope = anyio.CancelScope(deadline=limit)
        if unit.stopping:  # cancelled between being given a slot and getting here
            scope.cancel()
        try:
            with scope:
                await self._call(unit, run)
        except anyio.get_cancelled_exc_class() as stray:
            if anyio.current_effective_deadline() == -math.inf:
                raise
            error = StrayCancellation(f"task {unit.name!r}: its work was cancelled by somebody else")
            error.__cause__ = stray
        except Exception as raised:  # noqa: BLE001 - work may raise anything: this is where failures are judged
            error = raised
        finally:
            unit.scope = unit.coroutine = None
            self._running.pop(unit.name, None)
        if scope.cancelled_caught and not unit.stopping and task.timeout is not None:
            error = TimeoutExceeded(task.timeout, f"an attempt of {unit.name!r}")
        self._judge(unit, run, error, started, interrupted=scope.cancelled_caught and unit.stopping)

    async def _call(self, unit: Unit, run: Run) -> None:
        task = unit.task
        work = cast("Callable[..., Awaitable[object]]", task.work)
        call: Call[object] = partial(work, run) if task.takes_run else work
        for layer in reversed(task.layers):
            call = partial(layer, call)
        unit.coroutine = call()
        await unit.coroutine

    def _judge(self, unit: Unit, run: Run, error: Exception | None, started: float, *, interrupted: bool) -> None:
        now = self._clock.now()
        events: Sequence[Event] = ()
        if interrupted:
            events = tuple(verdict.interrupted(unit, run, started, now))
        elif error is None:
            events = tuple(verdict.succeeded(unit, run, started, now, self._rng))
        else:
            events = tuple(verdict.failed(unit, run, error, started, now, self._rng, self._hint_limit()))
        if unit.over:
            self._alive -= 1
        elif self._stop.reason is not None or unit.stopping:
            unit.move("stopped")
            self._alive -= 1
        else:
            self._calendar.put(unit, now if no_waits.get() and unit.phase == "retrying" else unit.due)
        for event in events:
            self._emit(event)
            if isinstance(event, TaskFailed):
                self._fail(unit, event)
        self._check_quiet()
        self._wake.set()

    def _fail(self, unit: Unit, event: TaskFailed) -> None:
        if isinstance(event.error, Exception):
            self._failures.append(TaskFailure(unit.name, event.error, event.reason))
        if not self._isolate:
            self.stop(f"{unit.name} failed: {event.reason}", drain=self._settle)

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
        for unit in self._units.values():
            if unit.run is not None:
                unit.run.stopping = True
            if not unit.over and unit.phase != "running":
                self._drop(unit)
        self._queue.clear()
        self._check_quiet()
        self._emit(StopRequested("runner", self._stop.reason or "", self._stop.drain))
        self._task_group().start_soon(self._ladder)

    def _drop(self, unit: Unit) -> None:
        self._calendar.drop(unit)
        unit.move("stopped")
        unit.run = None
        self._alive -= 1

    async def _ladder(self) -> None:
        self._abandoned = await self._stop.climb(self._quiet, self._running, self._emit)
        self._quiet.set()

    def _check_quiet(self) -> None:
        if self._alive == 0 and (self._stop.reason is not None or not self._keep_open):
            self._quiet.set()

    async def _run_hooks(self, tg: TaskGroup) -> tuple[str, ...]:
        deadline = self._stop.hooks_deadline(self._clock.now())
        hooks = [(u.name, u.task.shutdown) for u in reversed(self._units.values()) if u.task.shutdown is not None]
        self._hook_failures, stuck = await run_hooks(hooks, deadline, self._stop.grace, tg)
        for failure in self._hook_failures:
            self._emit(HookFailed(failure.task, failure.error))
        return stuck

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _outcome(self) -> Outcome:
        status: Literal["finished", "stopped", "failed"] = "finished"
        if self._failures:
            status = "failed"
        elif self._stop.reason is not None:
            status = "stopped"
        return Outcome(status, self._stop.reason, tuple(self._failures), self._hook_failures, self._abandoned)

    def _emit(self, event: Event) -> None:
        if self._listeners:
            emit(self._listeners, event)

    def _task_group(self) -> TaskGroup:
        if self._tg is None:
            raise RunnerError("the runner is not running")
        return self._tg
