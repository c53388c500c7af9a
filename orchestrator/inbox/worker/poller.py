"""The poller: claims due runs, keeps their leases, and writes what became of them."""

import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import random as chance

import anyio

from longrun.failure.classify import classify as baseline
from orchestrator.contracts import Connection
from orchestrator.inbox.errors import InvalidHandler, LeaseLost
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.store.records import Claimed, ClaimRequest, Hold, Outcome, Released
from orchestrator.inbox.worker.attempt import attempt
from orchestrator.inbox.worker.execution import Execution, StopReason
from orchestrator.inbox.worker.failure import Classify
from orchestrator.inbox.worker.handlers import Handlers
from orchestrator.inbox.worker.settlement import Settlement
from orchestrator.sql import SqlError

#: Seconds between two sweeps of expired leases in :meth:`Poller.run`.
SWEEP_INTERVAL = 5.0

#: Expired leases per transaction of a sweep.
SWEEP_BATCH = 100

#: Runs per transaction whose time has come.
PROMOTE_BATCH = 1000

#: Every so many claims, the longest waiting runs come first whatever their priority: none waits for ever.
AGEING = 8

#: Seconds between the attempts to write an outcome when the database asks for patience.
SETTLE_AGAIN = (0.1, 0.5, 1.0, 2.0, 4.0)


class Poller:
    """Runs what the inbox holds, up to *concurrency* handlers at a time. One per worker; start it once.

    :meth:`run` goes on until :meth:`stop`; :meth:`poll` does what is due and returns, for an interval worker.

    *lease*: seconds until a silent worker's run is given to another; it is renewed at every third of it.
    *poll_interval*: seconds between two looks when nothing happens; submits in this process are noticed at once, those
    of others within a twentieth of it. *drain*: seconds that handlers have to finish after :meth:`stop`; then they are
    cancelled and their runs given back. *classify* says what a handler's error means. *random* gives 0 to 1.
    """

    def __init__(
        self,
        inbox: Inbox,
        handlers: Handlers,
        *,
        classify: Classify = baseline,
        worker_id: str | None = None,
        lease: float = 30.0,
        poll_interval: float = 2.0,
        concurrency: int = 10,
        drain: float = 10.0,
        random: Callable[[], float] = chance,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        logger: logging.Logger | None = None,
    ) -> None:
        _check(handlers, lease=lease, poll_interval=poll_interval, concurrency=concurrency, drain=drain)
        self.worker_id = worker_id or f"{socket.gethostname()}-{os.getpid()}"
        self._inbox = inbox
        self._handlers = handlers
        self._classify = classify
        self._lease = lease
        self._poll_interval = poll_interval
        self._concurrency = concurrency
        self._drain = drain
        self._random = random
        self._sleep = sleep
        self._logger = logger or logging.getLogger("orchestrator.inbox")
        self._settlement = Settlement(inbox.database, inbox.store)
        self._running: dict[Hold, Execution] = {}
        self._failure: Exception | None = None
        self._registered = False
        self._stopping = False
        self._claims = 0
        self._swept_at = -SWEEP_INTERVAL
        self._pulse: object = None
        self._looked_at = -math.inf
        self._known_rings = -1
        self._cancellations = inbox.cancellations

    @property
    def running(self) -> int:
        """How many handlers are at work."""
        return len(self._running)

    async def poll(self, progress: Callable[[], None] | None = None) -> int:
        """Bring back expired leases, then claim and run until nothing is due; how many runs that were.

        *progress* is called at every round, for a run that must show that it is alive. What handlers raise is recorded,
        not raised. Raises SqlError when the database fails, after the handlers at work have ended.
        """
        self._swept_at = -SWEEP_INTERVAL
        return await self._work(until_idle=True, progress=progress)

    async def news(self) -> bool:
        """Whether :meth:`poll` may find work: something was stored since it last looked, or *poll_interval* has passed.

        One cheap read at most. Raises SqlError.
        """
        if self._known_rings != self._inbox.bell.rings:
            return True
        if anyio.current_time() - self._looked_at >= self._poll_interval:
            return True
        return await self._inbox.database.read(self._inbox.store.pulse) != self._pulse

    async def run(self) -> None:
        """Claim and run until :meth:`stop`. Errors of the database that pass are waited out; others are raised."""
        failures = 0
        while not self._stopping:
            try:
                await self._work(until_idle=False, progress=None)
            except SqlError as error:
                if not getattr(error, "retryable", False):
                    raise
                failures += 1
                pause = min(60.0, 2.0**failures) * (0.9 + 0.2 * self._random())
                self._logger.warning("inbox.poll_failed: %s; again in %.0f s", error, pause)
                await self._pause(pause)

    def stop(self) -> None:
        """Claim no more; handlers at work may finish within the drain, then their runs are given back."""
        self._stopping = True
        self._inbox.bell.ring()

    async def renew(self) -> None:
        """Renew all leases now, and stop the handlers whose run is cancelled or not ours any more."""
        executions = dict(self._running)
        renewed_at = anyio.current_time()
        try:
            renewal = await self._inbox.database.transaction(
                lambda connection: self._inbox.store.heartbeat(connection, tuple(executions), self._lease)
            )
        except SqlError as error:
            self._logger.warning("inbox.heartbeat_failed: %s", error)
        else:
            for hold, execution in executions.items():
                if hold in renewal.cancelled:
                    self._stop(execution, "cancelled")
                elif hold in renewal.lost:
                    self._stop(execution, "lost")
                else:
                    execution.expires = renewed_at + self._lease
        for execution in executions.values():
            if anyio.current_time() >= execution.expires:  # could not be renewed: another worker may have it by now
                self._stop(execution, "lost")

    async def _work(self, *, until_idle: bool, progress: Callable[[], None] | None) -> int:
        self._failure = None
        count = 0
        async with anyio.create_task_group() as leases:
            leases.start_soon(self._keep_leases)
            async with anyio.create_task_group() as handlers:
                while not self._stopping and self._failure is None:
                    known = self._inbox.bell.rings
                    wanted = self._concurrency - len(self._running)
                    claimed = await self._claim(wanted) if wanted else ()
                    for execution in claimed:
                        handlers.start_soon(self._execute, execution)
                    count += len(claimed)
                    if progress is not None:
                        progress()
                    if until_idle and not self._running:
                        break
                    if len(claimed) < wanted or not wanted:
                        await self._something_happens(known)
                await self._finish()
            leases.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        return count

    async def _claim(self, wanted: int) -> Sequence[Execution]:
        self._claims += 1
        oldest_first = self._claims % AGEING == 0
        self._known_rings = self._inbox.bell.rings
        self._looked_at = asked_at = anyio.current_time()
        sweep = asked_at - self._swept_at >= SWEEP_INTERVAL
        work = partial(self._claim_in, wanted=wanted, oldest_first=oldest_first, sweep=sweep)
        with anyio.CancelScope(shield=True):  # what was claimed must reach a handler, which gives it back if need be
            try:
                claimed = await self._inbox.database.transaction(work)
            except Exception as error:  # noqa: BLE001 - raised by _work when the handlers at work have ended
                self._failure = error
                self._looked_at = -math.inf  # what could not be seen is still news
                return ()
        if sweep:
            self._swept_at = asked_at
        expires = asked_at + self._lease
        executions = [Execution(run, expires, self._heartbeat, self._is_stopping, self._logger) for run in claimed]
        self._running.update((execution.hold, execution) for execution in executions)
        return executions

    def _claim_in(self, connection: Connection, *, wanted: int, oldest_first: bool, sweep: bool) -> Sequence[Claimed]:
        store = self._inbox.store
        if not self._registered:
            store.register(connection, self._handlers.types)
        if sweep:
            swept = store.sweep(connection, SWEEP_BATCH)
            if swept.returned or swept.exhausted:
                self._logger.warning("inbox.leases_expired: %d returned, %d failed", swept.returned, swept.exhausted)
        store.promote(connection, PROMOTE_BATCH)
        types = self._handlers.types
        claimed = store.claim(
            connection, ClaimRequest(self.worker_id, types, wanted, self._lease, oldest_first=oldest_first)
        )
        self._pulse = store.pulse(connection)
        self._registered = True
        return claimed

    async def _execute(self, execution: Execution) -> None:
        try:
            handler = self._handlers[execution.type]
            outcome = await attempt(execution, handler, self._classify, self._random)
            execution.ended = True
            if outcome is not None:
                await self._settle(execution, outcome)
        except BaseException:  # cancelled from outside, or the process is asked to end: give the run back untouched
            if not execution.ended:
                execution.ended = True
                with anyio.CancelScope(shield=True):
                    await self._settle(execution, Released())
            raise
        finally:
            del self._running[execution.hold]
            self._inbox.bell.ring()

    async def _settle(self, execution: Execution, outcome: Outcome) -> None:
        for wait in (*SETTLE_AGAIN, None):
            try:
                await self._settlement(execution.hold, outcome)
            except LeaseLost as error:
                execution.logger.warning("intent.outcome_refused: %s", error)
            except Exception as error:  # noqa: BLE001 - raised by _work when the handlers at work have ended
                if wait is not None and getattr(error, "retryable", False):
                    with anyio.CancelScope(shield=True):
                        await self._sleep(wait)
                    continue
                execution.logger.error("intent.outcome_lost: %s; the run is repeated after its lease", error)
                self._failure = self._failure or error
            else:
                execution.logger.debug("intent.%s", type(outcome).__name__.lower())
            return

    async def _heartbeat(self, execution: Execution) -> None:
        renewed_at = anyio.current_time()
        hold = execution.hold
        renewal = await self._inbox.database.transaction(
            lambda connection: self._inbox.store.heartbeat(connection, [hold], self._lease, audit=True)
        )
        if renewal.lost or renewal.cancelled:
            raise LeaseLost(hold.run_id, hold.worker, hold.fence)
        execution.expires = renewed_at + self._lease

    def _is_stopping(self) -> bool:
        return self._stopping

    async def _keep_leases(self) -> None:
        while True:
            await anyio.sleep(self._lease / 3)
            if self._running:
                await self.renew()

    async def _something_happens(self, known: int) -> None:
        with anyio.move_on_after(self._poll_interval):
            while self._failure is None:
                with anyio.move_on_after(self._poll_interval / 20):
                    await self._inbox.bell.wait(known)
                    break
                if await self._changed():
                    break
        if self._cancellations != self._inbox.cancellations:
            self._cancellations = self._inbox.cancellations
            await self.renew()

    async def _changed(self) -> bool:
        try:
            return await self._inbox.database.read(self._inbox.store.pulse) != self._pulse
        except Exception as error:  # noqa: BLE001 - raised by _work when the handlers at work have ended
            self._failure = error
            return True

    async def _finish(self) -> None:
        while self._running and not self._stopping:
            await self._inbox.bell.wait(self._inbox.bell.rings)
        with anyio.move_on_after(self._drain):
            while self._running:
                await self._inbox.bell.wait(self._inbox.bell.rings)
        for execution in tuple(self._running.values()):
            self._stop(execution, "drain")

    async def _pause(self, seconds: float) -> None:
        async with anyio.create_task_group() as either:
            either.start_soon(self._stopped_or_slept, seconds, either.cancel_scope)
            while not self._stopping:
                await self._inbox.bell.wait(self._inbox.bell.rings)
            either.cancel_scope.cancel()

    async def _stopped_or_slept(self, seconds: float, scope: anyio.CancelScope) -> None:
        await self._sleep(seconds)
        scope.cancel()

    def _stop(self, execution: Execution, reason: StopReason) -> None:
        if execution.stopped is None and not execution.ended:
            execution.logger.warning("intent.stopped: %s", reason)
            execution.stop(reason)

    def __repr__(self) -> str:
        return f"<Poller {self.worker_id}: {self.running} of {self._concurrency} running>"


def _check(handlers: Handlers, **numbers: float) -> None:
    if not len(handlers):
        raise InvalidHandler("the poller has no handlers; register at least one with @handler('type.v1')")
    for name, value in numbers.items():
        whole = name == "concurrency"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not 0 < value < 1e9:
            raise ValueError(f"Poller: {name} is {value!r}; give a {'whole number' if whole else 'number'} above 0")
