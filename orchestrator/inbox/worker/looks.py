"""One look at all watched runs: their time limits, their critics, and handlers that ignore their cancellation.

It is due at the earliest instant at which it could change anything, so a handler that ends in time costs it nothing.
"""

import logging
import math
from collections.abc import Callable

from anyio.abc import TaskGroup

from longrun.clock import SystemClock
from longrun.critic.supervision import Supervision
from longrun.events import EscalatorFailed, Event, RunNudged
from longrun.task.alarm import alarm
from longrun.telemetry import attributes_of
from orchestrator.inbox.worker.execution import Execution
from orchestrator.inbox.worker.executions import Executions

#: Seconds that a cancelled handler has to clean up before it is called stuck and its slot is given to others.
GRACE = 5.0

#: Rounding may let a look come this much before the instant that it was for.
_EPSILON = 1e-6


class Looks:
    """*fence* stops what could not be renewed; it is called with the time at each look and tells its next one."""

    def __init__(
        self,
        tg: TaskGroup,
        executions: Executions,
        fence: Callable[[float], float],
        now: Callable[[], float],
        logger: logging.Logger,
    ) -> None:
        self._executions = executions
        self._fence = fence
        self._now = now
        self._logger = logger
        self._watched: dict[Execution, None] = {}
        self._next = -math.inf  # to see when the first lease may end
        self._alarm = alarm()
        self._supervision: Supervision[Execution] = Supervision(tg, SystemClock(), self._tell, self._judged)
        executions.watch = self.watch
        executions.forget = self.forget

    def watch(self, execution: Execution) -> None:
        """Look after *execution* from now on."""
        self._watched[execution] = None
        self._look_at(self._next_of(execution, self._now()))

    def forget(self, execution: Execution) -> None:
        """Its handler has ended."""
        self._watched.pop(execution, None)

    def stopped(self, execution: Execution) -> None:
        """It was told to stop: see whether it does."""
        self._watched[execution] = None
        self._look_at(execution.stopped_at + GRACE)

    async def keep(self) -> None:
        """Look when it is time, for ever."""
        while True:
            await self._alarm.wait(self._next)
            now = self._now()
            if now + _EPSILON < self._next:
                continue
            self._next = self._fence(now)
            for execution in tuple(self._watched):
                self._next = min(self._next, self._look(execution, now))

    def _look(self, execution: Execution, now: float) -> float:
        if execution.stopped is None and now + _EPSILON >= execution.limit:
            self._executions.stop(execution, "timeout")
        if execution.stopped is None and execution.watch is not None:
            self._supervision.look(execution, now)
        return self._next_of(execution, now)

    def _next_of(self, execution: Execution, now: float) -> float:
        if execution.stopped is None:
            looks = math.inf if execution.watch is None else execution.watch.next_look(execution.last_progress)
            return min(execution.limit, looks)
        if execution.done:
            return math.inf
        if now + _EPSILON < execution.stopped_at + GRACE:
            return execution.stopped_at + GRACE
        self._executions.abandon(execution)
        return math.inf

    def _look_at(self, instant: float) -> None:
        if instant < self._next:
            self._next = instant
            self._alarm.ring()

    def _judged(self, execution: Execution) -> None:
        watch = execution.watch
        assert watch is not None, "a critic judges what it watches"
        if watch.killed is not None:
            self._executions.stop(execution, "killed", watch.killed)
        elif execution.stopped is None:
            execution.move_deadline()
            self._look_at(watch.next_look(execution.last_progress))

    def _tell(self, event: Event) -> None:
        level = logging.ERROR if isinstance(event, EscalatorFailed) else logging.WARNING
        said = event.message if isinstance(event, RunNudged) else event.subject
        self._logger.log(level, "intent.%s: %s", event.name, said, extra=attributes_of(event))
