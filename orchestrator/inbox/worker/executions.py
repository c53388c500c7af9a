"""The runs that this worker holds: those that wait for a slot, those whose handler works, and what became of them."""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from anyio.abc import TaskGroup

from longrun.task.spawn import Spawner, spawner
from longrun.task.stack import stack_of
from orchestrator.inbox.store.records import Hold, Outcome, Released
from orchestrator.inbox.worker.attempt import Attempts
from orchestrator.inbox.worker.execution import Execution, StopReason
from orchestrator.inbox.worker.limits import Limits
from orchestrator.inbox.worker.statistics import Statistics

#: How much the time of the last handler counts among those before it.
_WEIGHT = 0.1


@dataclass(slots=True)
class Ended:
    """An outcome that is to be stored. *uncertain*: it was sent once, and the connection broke while it was stored."""

    execution: Execution
    outcome: Outcome
    uncertain: bool = False


class Executions:
    """At most *slots* handlers work at a time. All of it happens in the event loop's own thread."""

    def __init__(
        self, slots: int, attempts: Attempts, limits: Limits, statistics: Statistics, now: Callable[[], float]
    ) -> None:
        self.held: dict[Execution, None] = {}
        """Those whose lease is ours and whose outcome is open; whose lease ends first comes first."""
        self.waiting: deque[Execution] = deque()
        self.ended: list[Ended] = []
        self.stuck: dict[Execution, None] = {}
        self.running = 0
        self.slots = slots
        self.pace: float | None = None
        """Seconds that a handler takes; None until one has ended."""
        self.closed = False
        """Nothing more is started."""
        self.room = False
        """A limited type has room again since somebody last looked."""
        self.changed: Callable[[], None] = lambda: None
        """Called when something has ended."""
        self.watch: Callable[[Execution], None] = lambda _: None
        """Called with a run that has a time limit or a critic, when its handler starts."""
        self.forget: Callable[[Execution], None] = lambda _: None
        """Called with a run that was watched, when its handler has ended."""
        self._attempts = attempts
        self._limits = limits
        self._statistics = statistics
        self._now = now
        self._spawn: Spawner | None = None

    def open(self, tg: TaskGroup) -> None:
        """Handlers start from the context of the caller."""
        self._spawn = spawner(tg)

    @property
    def free(self) -> int:
        """Slots that nothing is meant for."""
        return self.slots - self.running - len(self.waiting)

    def take(self, executions: Iterable[Execution]) -> None:
        """These were claimed: start as many as there are slots."""
        for execution in executions:
            self.held[execution] = None
            self.waiting.append(execution)
        self._start()

    def goes_on(self, hold: Hold, expires: float) -> bool:
        """Whether the run of *hold*, which was just claimed, is at work here under that very hold.

        Claims are not waited for: a server that crashed forgot one of ours, and gave us the same again. What is at work
        under an older one is stopped, so that no run is at work twice.
        """
        for execution in tuple(self.held):
            if execution.id != hold.run_id:
                continue
            if execution.hold == hold and execution.stopped is None:
                del self.held[execution]
                self.held[execution] = None  # the last to end
                execution.expires, execution.tried_at = expires, math.inf
                return True
            self.stop(execution, "lost", "its lease ended, and this worker has claimed its run again")
        return False

    def give_back(self, executions: Iterable[Execution]) -> None:
        """Release these of the waiting ones, untouched."""
        for execution in tuple(executions):
            self.waiting.remove(execution)
            self._let_go(execution, Released())

    def stop(self, execution: Execution, why: StopReason, reason: str = "") -> None:
        """Cancel its handler; one that waits still is not started."""
        if not execution.begun:
            self.waiting.remove(execution)
            self._let_go(execution, Released() if why == "drain" else None)
        elif execution.stop(why, reason, self._now()) and why in ("lost", "cancelled"):
            execution.logger.warning("intent.stopped: %s", reason or why)

    def abandon(self, execution: Execution) -> None:
        """Its handler ignores its cancellation: the slot is for others, and what it may still say counts for nothing.

        When the poller stops its run is not released: another worker would run it beside this handler.
        """
        stack = "(not started)" if execution.coroutine is None else stack_of(execution.coroutine)
        execution.logger.error("intent.abandoned: its handler ignores its cancellation; it stands at:\n%s", stack)
        self._statistics.abandoned[execution.type] += 1
        self.stuck[execution] = None
        self.running -= 1
        outcome = self._attempts.ended(execution, None) if execution.stopped in ("timeout", "killed") else None
        self._let_go(execution, outcome)
        self._start()

    def _start(self) -> None:
        spawn = self._spawn
        assert spawn is not None, "opened by the poller"
        while self.waiting and self.running < self.slots and not self.closed:
            execution = self.waiting.popleft()
            self.running += 1
            execution.begun = True
            execution.handle = spawn(self._run, execution, execution.type)

    async def _run(self, execution: Execution) -> None:
        assert self._spawn is not None, "opened by the poller"
        try:
            await self._execute(execution)
        except BaseException as defect:  # noqa: BLE001 - nothing may get lost: it is raised again where it is seen
            self._spawn.let_out(defect)

    async def _execute(self, execution: Execution) -> None:
        started = self._now()
        watched = execution.route.watched
        outcome: Outcome | None = Released()
        try:
            self._statistics.started(execution.type, execution.waited + started)
            if self._limits:
                self._limits.started(execution.type, started)
            if watched:
                execution.begin(started)
                self.watch(execution)
            outcome = await self._attempts(execution)
            if execution.told and outcome is not None:
                outcome = Released()  # refused, unless the lease is ours after all: then the run is to be done
        finally:  # also when the process is asked to end from within a handler
            if watched or execution.stopped is not None:
                self.forget(execution)
            if execution.done:
                del self.stuck[execution]
                self.changed()
            else:
                took = self._now() - started
                self.pace = took if self.pace is None else self.pace + _WEIGHT * (took - self.pace)
                self.running -= 1
                self._let_go(execution, outcome)
                if self.waiting:
                    self._start()

    def _let_go(self, execution: Execution, outcome: Outcome | None) -> None:
        execution.done = True
        del self.held[execution]
        if self._limits and self._limits.ended(execution.type, started=execution.begun):
            self.room = True
        if outcome is not None:
            self.ended.append(Ended(execution, outcome))
        self.changed()
