"""The engine: a loop of rounds, each of which is one transaction that stores what ended and claims what may start.

Outcomes that come while a transaction is under way go with the next one: a busy poller pays one commit for many runs,
an idle one none, and nobody waits for a timer.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from longrun.task.alarm import alarm
from longrun.task.spawn import Spawner, spawner
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.store.records import Claimed, Released
from orchestrator.inbox.worker.admission import BATCH
from orchestrator.inbox.worker.agenda import Agenda
from orchestrator.inbox.worker.backoff import Backoff
from orchestrator.inbox.worker.execution import Desk, Execution
from orchestrator.inbox.worker.executions import Ended, Executions
from orchestrator.inbox.worker.round import Round
from orchestrator.inbox.worker.rounds import Rounds
from orchestrator.inbox.worker.routes import Routes
from orchestrator.inbox.worker.settling import Settling
from orchestrator.inbox.worker.statistics import Statistics
from orchestrator.sql import DatabaseReadOnly, SqlError

#: Outcomes that a round waits for while each turn of the event loop brings more of them.
GATHERED = BATCH // 2

#: Seconds that outcomes may take to be stored after the last handler of a stopping poller has ended.
SETTLE_WITHIN = 5.0

#: Seconds until another try to store the outcome of a run whose row somebody has locked; of a short lease, which nobody
#: renews any more, an eighth.
ASIDE = 4.0

#: How often :meth:`Poller.poll` tries to store outcomes.
PATIENCE = 5

Mode: TypeAlias = Literal["until stopped", "until idle"]


class Engine:
    """Instants are on the event loop's clock. *progress* is called at every round."""

    def __init__(
        self,
        inbox: Inbox,
        agenda: Agenda,
        rounds: Rounds,
        routes: Routes,
        executions: Executions,
        statistics: Statistics,
        backoff: Backoff,
        desk: Desk,
        *,
        lease: float,
        drain: float,
        mode: Mode,
        progress: Callable[[], None] | None,
        now: Callable[[], float],
    ) -> None:
        self.failure: Exception | None = None
        self.count = 0
        """Runs that were claimed."""
        self.agenda = agenda
        self._inbox = inbox
        self._rounds = rounds
        self._routes = routes
        self._limits = routes.limits
        self._executions = executions
        self._statistics = statistics
        self._backoff = backoff
        self._desk = desk
        self._logger = desk.logger
        self._lease = lease
        self._drain = drain
        self._until_idle = mode == "until idle"
        self._settling = Settling(inbox, statistics, lease)
        self._progress = progress
        self._now = now
        self._alarm = alarm()
        self._spawn: Spawner | None = None
        self._under_way: dict[Round, object] = {}
        self._stops_at = self._settle_until = math.inf
        self._aside: deque[tuple[float, Ended]] = deque()
        """With the time of the next try, in its order."""
        executions.changed = self._alarm.ring

    def is_idle(self) -> bool:
        """Whether it waits for something to claim."""
        return not self.agenda.hungry and not self._closing

    def wake(self) -> None:
        """There may be something to claim."""
        self.agenda.woken(self._now())
        self._alarm.ring()

    def stop(self) -> None:
        """Claim no more, and come to an end."""
        self._executions.closed = True
        self._alarm.ring()

    async def run(self, tg: TaskGroup) -> None:
        """Go on until stopped, or until nothing is left to do. :attr:`failure` is what ended it otherwise.

        Rounds are children of *tg*.
        """
        spawn = self._spawn = spawner(tg)
        try:
            await self._loop(spawn)
        except BaseException:
            self._stops_at = self._now()
            with anyio.CancelScope(shield=True):
                await self._loop(spawn)
            raise

    @property
    def _closing(self) -> bool:
        return self._desk.stopping or self.failure is not None or self._stops_at < math.inf

    async def _loop(self, spawn: Spawner) -> None:
        while True:
            now = self._now()
            if self._progress is not None:
                self._progress()
            self._bring_back(now)
            if self._closing:
                self._close(now)
            await anyio.lowlevel.checkpoint_if_cancelled()  # a round is shielded, and there may always be another
            await self._gather()
            work = self.agenda.next_round(now, self._under_way, closing=self._closing)
            if work is not None:
                self._statistics.cycles += 1
                self._under_way[work] = spawn(self._carry_out, work, "inbox round")
            elif self._finished:
                return
            else:
                await self._alarm.wait(self._next_at(now))

    async def _gather(self) -> None:
        """Handlers that end in this very moment go with this round: half of what is claimed ahead, at most."""
        executions = self._executions
        before = -1
        while before < len(executions.ended) < GATHERED and executions.waiting:
            before = len(executions.ended)
            await anyio.lowlevel.checkpoint()

    def _bring_back(self, now: float) -> None:
        """Those whose row somebody had locked are tried again in their time, and at once by who comes to an end."""
        while self._aside and (self._closing or self._aside[0][0] <= now):
            self._executions.ended.append(self._aside.popleft()[1])

    # -- coming to an end --------------------------------------------------------------------------------------------

    @property
    def _finished(self) -> bool:
        executions = self._executions
        busy = executions.held or executions.ended or executions.stuck or self._under_way or self._aside
        return not busy and (self._closing or (self._until_idle and self.agenda.idle))

    def _next_at(self, now: float) -> float:
        next_at = self.agenda.next_at(now, self._under_way, closing=self._closing)
        if self._aside:
            next_at = min(next_at, self._aside[0][0])
        if not self._closing:
            return next_at
        ends = (each for each in (self._stops_at, self._settle_until) if each > now)
        return min(next_at, *ends, math.inf)

    def _close(self, now: float) -> None:
        executions = self._executions
        executions.closed = True
        executions.give_back(executions.waiting)
        if self._stops_at == math.inf:
            self._stops_at = now + self._drain
        if now >= self._stops_at:
            for execution in tuple(executions.held):
                if execution.stopped is None:
                    execution.logger.warning("intent.stopped: the poller ends; the run is given back")
                executions.stop(execution, "drain")
        settling = executions.ended or any(work.ended for work in self._under_way)
        if executions.held or not settling:
            self._settle_until = math.inf
        elif self._settle_until == math.inf:
            self._settle_until = now + SETTLE_WITHIN
        elif now >= self._settle_until:
            self._settling.drop(executions.ended)
            executions.ended = []

    # -- one round ---------------------------------------------------------------------------------------------------

    async def _carry_out(self, work: Round) -> None:
        assert self._spawn is not None, "it was spawned"
        try:
            await self._do(work, self._now())
        except BaseException as defect:  # noqa: BLE001 - nothing may get lost: it is raised again where it is seen
            self._spawn.let_out(defect)
        finally:
            del self._under_way[work]
            self._alarm.ring()

    async def _do(self, work: Round, now: float) -> None:
        try:
            with anyio.CancelScope(shield=True):  # what is claimed must reach a handler, or be given back
                done = await self._rounds(work)
        except Exception as error:  # noqa: BLE001 - told apart below: what passes is waited out
            await self._failed(work, error, now)
        else:
            self._backoff.worked()
            self._settling.settled(work.ended, done.turn.lost)
            totals = self._limits.totals
            if totals and any(each.execution.type in totals for each in work.ended):
                self._inbox.announcer.work()  # others may have left runs behind for want of this place
            self.agenda.done(work, done, self._now(), began=now, closing=self._closing)
            if done.swept is not None and (done.swept.returned or done.swept.exhausted):
                told = (done.swept.returned, done.swept.exhausted)
                self._logger.warning("inbox.leases_expired: %d returned, %d failed", *told)
            if done.turn.claimed:
                self._take(done.turn.claimed, now)

    def _take(self, claimed: Sequence[Claimed], now: float) -> None:
        self.count += len(claimed)
        expires = now + self._lease
        taken = []
        find, desk, counted = self._routes.find, self._desk, self._statistics.claimed
        held = {execution.id for execution in self._executions.held}
        for run in claimed:
            if run.hold.run_id in held and self._executions.goes_on(run.hold, expires):
                self._limits.ended(run.type, started=False)  # it was counted when it was claimed the first time
                continue
            route = find(run.type)
            if route is None:
                self._exclude(run, expires)
                continue
            execution = Execution(run, route, expires, desk)
            execution.waited -= now
            counted[run.type] += 1
            taken.append(execution)
        self._executions.take(taken)

    def _exclude(self, run: Claimed, expires: float) -> None:
        if run.type not in self._routes.excluded:
            self._routes.excluded.append(run.type)
            self._logger.warning(
                "inbox.no_handler: %r has no handler here; its runs are left to others. Register one, or narrow the "
                "prefixes",
                run.type,
            )
        given_back = Execution(run, self._routes.nowhere, expires, self._desk)
        self._executions.ended.append(Ended(given_back, Released()))

    async def _failed(self, work: Round, error: Exception, now: float) -> None:
        self._statistics.errors[type(error).__name__] += 1
        self.agenda.failed(work, now)
        kept = list(work.ended)
        if kept and not (isinstance(error, SqlError) and self._settling.is_for_all(kept, error)):
            kept, trouble = await self._settling.apart(kept)
            if trouble is None:
                return
            error = trouble
        if kept and self._settling.is_of_a_row(error) and not self._until_idle:  # everything else goes on
            wait = min(ASIDE, self._lease / 8)
            self._logger.warning("inbox.outcomes_held_up: %d; again in %.1f s: %s", len(kept), wait, error)
            kept = self._settling.within_reason(kept, error, hopeless=False, now=now)
            again_at = self._now() + wait
            self._aside += [(again_at, each) for each in kept]
            return
        # A file that refuses writes was writable when it was opened, and may be so again.
        passes = bool(getattr(error, "retryable", False)) or isinstance(error, DatabaseReadOnly)
        failed_at = self._now()
        wait = self._backoff.failed(failed_at)
        impatient = self._until_idle and self._backoff.failures > PATIENCE
        kept = self._settling.within_reason(kept, error, hopeless=impatient or not passes, now=now)
        self._executions.ended = [*kept, *self._executions.ended]
        if self._executions.ended:  # they are tried before anything is claimed
            wait = self._backoff.settle_from - failed_at
        if passes and (not self._until_idle or self._executions.ended or self._closing):
            self._logger.warning("inbox.poll_failed: %s; again in %.1f s", error, wait)
        else:
            self.failure = self.failure or error
