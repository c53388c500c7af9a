"""The leases of the held runs: renewed at a third of their time, all that are due in one statement.

A handler whose lease could not be renewed is stopped before the lease ends, for then another worker may have the run.
An event loop that was blocked for long is no reason: the renewal is tried first.
"""

import logging
import math
from collections.abc import Callable, Sequence

from longrun.task.alarm import alarm
from orchestrator.inbox.errors import LeaseLost
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.store.records import Renewal
from orchestrator.inbox.worker.execution import Execution
from orchestrator.inbox.worker.executions import Executions
from orchestrator.inbox.worker.statistics import Statistics

#: Parts of a lease: it is renewed after this one,
RENEW_AFTER = 1 / 3
#: tried again after this one when that failed, and those that are due so soon are renewed together,
AGAIN_AFTER = 1 / 12
#: and given up this much before its end.
MARGIN = 1 / 10


class Renewals:
    """Of all *executions*, for *lease* seconds from the moment before each renewal."""

    def __init__(
        self,
        inbox: Inbox,
        executions: Executions,
        lease: float,
        statistics: Statistics,
        now: Callable[[], float],
        logger: logging.Logger,
    ) -> None:
        self._inbox = inbox
        self._executions = executions
        self._lease = lease
        self._statistics = statistics
        self._now = now
        self._logger = logger
        self._alarm = alarm()
        self._everything = False

    async def keep(self) -> None:
        """Renew when it is time, for ever."""
        again = -math.inf
        while True:
            await self._alarm.wait(max(self._due(), again))
            everything, self._everything = self._everything, False
            if not await self.renew(everything=everything):
                again = self._now() + AGAIN_AFTER * self._lease

    def look_after(self) -> None:
        """Somebody has cancelled runs: find out at once whether ours are among them."""
        if self._executions.held:
            self._everything = True
            self._alarm.ring()

    async def renew(self, *, everything: bool = True) -> bool:
        """Renew what is due, or everything; False when that failed, or for one of them."""
        renewed_at = self._now()
        due = self._all_due(math.inf if everything else renewed_at + AGAIN_AFTER * self._lease)
        if not everything:
            old = [execution for execution in due if not execution.begun]
            self._executions.give_back(old)  # handlers have become slow: somebody else may be quicker
        due = [execution for execution in due if not execution.done]
        if not due:
            return True
        for execution in due:
            execution.tried_at = min(execution.tried_at, renewed_at)
        try:
            renewal = await self._heartbeat(due)
        except Exception as error:  # noqa: BLE001 - whatever it is, the leases end, and the fence sees to that
            self._statistics.errors[type(error).__name__] += 1
            self._logger.warning("inbox.heartbeat_failed: %s", error)
            return False
        held = self._executions.held
        for execution in due:
            if execution not in held or execution.hold in renewal.locked:  # it has ended meanwhile, or is tried again
                continue
            del held[execution]
            held[execution] = None  # the last to end
            execution.expires = renewed_at + self._lease
            execution.tried_at = math.inf
            if execution.hold in renewal.cancelled:
                self._executions.stop(execution, "cancelled")
            elif execution.hold in renewal.lost:
                self._executions.stop(execution, "lost", "its lease is another worker's, or nobody's, by now")
        return not renewal.locked

    async def heartbeat(self, execution: Execution) -> None:
        """One, at its handler's wish, with a line in its history. Raises LeaseLost and SqlError."""
        renewed_at = self._now()
        renewal = await self._heartbeat([execution], audit=True)
        if renewal.lost or renewal.cancelled:
            execution.told = True
            hold = execution.hold
            raise LeaseLost(hold.run_id, hold.worker, hold.fence)
        self._renewed(execution, renewed_at, renewal)

    async def is_cancelled(self, execution: Execution) -> bool:
        """Whether the run is cancelled or another worker's. Raises SqlError."""
        if execution.stopped in ("cancelled", "lost"):
            execution.told = True
            return True
        renewed_at = self._now()
        renewal = await self._heartbeat([execution])
        if renewal.lost or renewal.cancelled:
            execution.told = True
            return True
        self._renewed(execution, renewed_at, renewal)
        return False

    def fence(self, now: float) -> float:
        """Stop what could not be renewed and has hardly any lease left; when to ask again."""
        margin = MARGIN * self._lease
        for execution in tuple(self._executions.held):
            if execution.expires - margin > now:
                return execution.expires - margin
            if execution.stopped is not None:
                continue
            if execution.tried_at == math.inf:  # the event loop was blocked: nobody could
                self._alarm.ring()
                return now + margin / 2
            if now - execution.tried_at >= margin / 2:
                self._executions.stop(execution, "lost", "its lease could not be renewed in time")
            else:
                return execution.tried_at + margin / 2
        return now + RENEW_AFTER * self._lease

    def _due(self) -> float:
        for execution in self._executions.held:
            return execution.expires - (1 - RENEW_AFTER) * self._lease
        return self._now() + RENEW_AFTER * self._lease  # nothing that is claimed from now on is due before

    def _all_due(self, now: float) -> Sequence[Execution]:
        kept = (1 - RENEW_AFTER) * self._lease
        return [execution for execution in self._executions.held if execution.expires - kept <= now]

    async def _heartbeat(self, executions: Sequence[Execution], *, audit: bool = False) -> Renewal:
        holds = [execution.hold for execution in executions]
        return await self._inbox.database.transaction(
            lambda connection: self._inbox.store.heartbeat(connection, holds, self._lease, audit=audit)
        )

    def _renewed(self, execution: Execution, renewed_at: float, renewal: Renewal) -> None:
        held = self._executions.held
        if execution in held and not renewal.locked:
            del held[execution]
            held[execution] = None
            execution.expires = max(execution.expires, renewed_at + self._lease)
            execution.tried_at = math.inf
