"""The engine: a loop of rounds, each of which is one transaction that stores what ended and claims what may start.

Outcomes that come while a transaction is under way go with the next one: a busy poller pays one commit for many runs,
an idle one none, and nobody waits for a timer.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from longrun.task.alarm import alarm
from longrun.task.spawn import Spawner, spawner
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.store.records import Claimed, ClaimRequest, Failed, Released, Turn
from orchestrator.inbox.worker.admission import BATCH, wanted
from orchestrator.inbox.worker.backoff import Backoff, Contention
from orchestrator.inbox.worker.execution import Desk, Execution
from orchestrator.inbox.worker.executions import Ended, Executions
from orchestrator.inbox.worker.news import News
from orchestrator.inbox.worker.round import SWEEP_BATCH, Done, Round
from orchestrator.inbox.worker.rounds import Rounds
from orchestrator.inbox.worker.routes import Routes
from orchestrator.inbox.worker.settling import Settling
from orchestrator.inbox.worker.statistics import Statistics
from orchestrator.sql import DatabaseReadOnly, SqlError

#: Seconds between two sweeps of expired leases.
SWEEP_INTERVAL = 5.0

#: Seconds until a sweep that would have met leases of our own.
LATE = 1.0

#: Seconds after a wake-up until it is seen whether it brought something for later.
PROMOTE_SOON = 0.25

#: Seconds between two looks at what another worker has just locked, at least.
PROMOTE_AGAIN = 0.01

#: Every so many claims, the longest waiting runs come first whatever their priority: none waits for ever.
AGEING = 8

#: Outcomes that a round waits for while each turn of the event loop brings more of them.
GATHERED = BATCH // 2

#: Runs that a round must settle or claim to be carried out beside another one: smaller ones go together.
BESIDE = BATCH // 2

#: Seconds that outcomes may take to be stored after the last handler of a stopping poller has ended.
SETTLE_WITHIN = 5.0

#: How often :meth:`Poller.poll` tries to store outcomes.
PATIENCE = 5

Mode: TypeAlias = Literal["until stopped", "until idle"]


class Engine:
    """Instants are on the event loop's clock. *progress* is called at every round."""

    def __init__(
        self,
        inbox: Inbox,
        rounds: Rounds,
        routes: Routes,
        executions: Executions,
        statistics: Statistics,
        desk: Desk,
        *,
        worker_id: str,
        types: Sequence[str],
        prefixes: Sequence[str],
        lease: float,
        drain: float,
        mode: Mode,
        random: Callable[[], float],
        progress: Callable[[], None] | None,
        now: Callable[[], float],
    ) -> None:
        self.failure: Exception | None = None
        self.count = 0
        """Runs that were claimed."""
        self.news: News | None = None
        self._inbox = inbox
        self._rounds = rounds
        self._routes = routes
        self._limits = routes.limits
        self._executions = executions
        self._statistics = statistics
        self._desk = desk
        self._logger = desk.logger
        self._worker_id = worker_id
        self._types = types
        self._prefixes = prefixes
        self._lease = lease
        self._drain = drain
        self._until_idle = mode == "until idle"
        self._backoff = Backoff(random)
        self._contention = Contention(random)
        self._settling = Settling(inbox, statistics, lease)
        self._progress = progress
        self._now = now
        self._alarm = alarm()
        self._spawn: Spawner | None = None
        self._under_way: dict[Round, object] = {}
        self._hungry = True
        self._deep = False
        """The last claim brought as many as were asked for."""
        self._claims = 0
        self._sweep_at = self._promote_at = self._poll_at = -math.inf
        self._stops_at = self._settle_until = math.inf
        executions.changed = self._alarm.ring

    def is_idle(self) -> bool:
        """Whether it waits for something to claim."""
        return not self._hungry and not self._closing

    def wake(self) -> None:
        """There may be something to claim."""
        self._hungry = True
        self._promote_at = min(self._promote_at, self._now() + PROMOTE_SOON)
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
            if self._closing:
                self._close(now)
            await anyio.lowlevel.checkpoint_if_cancelled()  # a round is shielded, and there may always be another
            await self._gather()
            work = self._next_round(now)
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

    # -- coming to an end --------------------------------------------------------------------------------------------

    @property
    def _finished(self) -> bool:
        executions = self._executions
        busy = executions.held or executions.ended or executions.stuck or self._under_way
        idle = not self._hungry and not self._contention
        return not busy and (self._closing or (self._until_idle and idle))

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

    # -- what to do next ---------------------------------------------------------------------------------------------

    def _next_round(self, now: float) -> Round | None:
        beside = bool(self._under_way)
        if len(self._under_way) >= self._rounds.most:
            return None
        open_ = now >= self._backoff.claim_from and not self._closing
        ended = self._executions.ended if now >= self._backoff.settle_from else []
        limit = self._limit(now, beside=beside) if open_ else 0
        if now >= self._sweep_at and self._is_late(now):
            self._sweep_at = now + LATE
        sweep = open_ and now >= self._sweep_at
        promote = open_ and now >= self._promote_at
        if beside and not sweep and not promote and max(len(ended), limit) < BESIDE:
            return None
        request = self._request(now, limit) if limit else None
        if not ended and request is None and not sweep and not promote:
            return None
        if ended:
            self._executions.ended = []
        else:  # not the list itself: what is appended while this round is under way belongs to the next one
            ended = []
        if sweep:
            self._sweep_at = now + SWEEP_INTERVAL
        if promote:
            self._promote_at = now + self._poll_interval
        register = self._types if request is not None and not self._routes.registered else ()
        return Round(self._inbox.store, ended, request, sweep=sweep, promote=promote, register=register)

    def _is_late(self, now: float) -> bool:
        """Whether leases of our own have ended, as when the event loop was blocked: renewals come before sweeps."""
        first = next(iter(self._executions.held), None)
        return first is not None and now >= first.expires

    def _limit(self, now: float, *, beside: bool) -> int:
        """How many runs to claim; *beside* another claim only from what is known to be a backlog."""
        executions, limits = self._executions, self._limits
        if beside:
            hungry = self._deep and not limits  # what is being claimed counts towards limits when it is there
        else:
            finishing = self._until_idle and bool(executions.ended)  # what ended may have submitted something
            if executions.room or finishing or now >= self._poll_at or (limits and now >= limits.next_at(now)):
                self._hungry, executions.room = True, False
            hungry = self._hungry
        if not hungry:
            return 0
        coming = sum(0 if work.request is None else work.request.limit for work in self._under_way)
        return wanted(free=executions.free - coming, slots=executions.slots, pace=executions.pace)

    def _request(self, now: float, limit: int) -> ClaimRequest | None:
        limits = self._limits
        types, caps = self._types, {}
        if limits:
            caps = limits.caps(now)
            types = [kind for kind in types if caps.get(kind, 1) > 0]
            if not types and not self._prefixes:
                limits.claimed({}, caps)
                self._contention.over()
                self._hungry, self._poll_at = False, now + self._poll_interval
                return None
        self._hungry = False  # a wake-up while the claim is under way asks for another one
        return ClaimRequest(
            self._worker_id,
            types,
            limit,
            self._lease,
            prefixes=self._prefixes,
            excluded=self._routes.excluded,
            oldest_first=(self._claims + 1) % AGEING == 0,
            caps=caps,
            totals=limits.totals,
        )

    @property
    def _poll_interval(self) -> float:
        return math.inf if self.news is None else self.news.interval

    def _next_at(self, now: float) -> float:
        ended = bool(self._executions.ended) and not self._under_way  # else they go with the round behind it
        settles = max(self._backoff.settle_from, now) if ended else math.inf
        if self._closing:
            ends = (each for each in (self._stops_at, self._settle_until) if each > now)
            return min(settles, *ends, math.inf)
        if len(self._under_way) >= self._rounds.most:
            return math.inf
        rounds = min(self._sweep_at, self._promote_at)
        if self._executions.free > 0 and not self._under_way:
            rounds = (
                -math.inf
                if self._hungry
                else min(rounds, self._poll_at, self._limits.next_at(now) if self._limits else math.inf)
            )
        return min(max(rounds, self._backoff.claim_from), settles)

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
            self._follow_up(work, done, now)
            if work.request is not None:
                self._claimed(work.request, done.turn, now, promoted=done.promoted is not None)

    def _follow_up(self, work: Round, done: Done, now: float) -> None:
        if self.news is not None and work.request is not None:  # who has not looked has seen nothing
            self.news.pulse = done.pulse
        if work.register:
            self._routes.registered = True
        if done.swept is not None:
            full = done.swept.returned + done.swept.exhausted >= SWEEP_BATCH
            self._sweep_at = now if full else now + SWEEP_INTERVAL
            if done.swept.returned or done.swept.exhausted:
                self._hungry = self._hungry or bool(done.swept.returned)
                told = (done.swept.returned, done.swept.exhausted)
                self._logger.warning("inbox.leases_expired: %d returned, %d failed", *told)
        if done.promoted is not None:
            next_in = done.promoted.next_in
            # What other processes put off rings here for nobody, and a poller with a backlog never looks by itself.
            soon = self._poll_interval if next_in is None else min(next_in, self._poll_interval)
            self._promote_at = now + max(soon, PROMOTE_AGAIN)
            if done.promoted.count:
                self._hungry = True
        for each in work.ended:
            if isinstance(each.outcome, Failed) and each.outcome.retry_in is not None:
                self._promote_at = min(self._promote_at, now + each.outcome.retry_in)
            elif isinstance(each.outcome, Released) and not self._closing:
                self._hungry = True

    def _claimed(self, request: ClaimRequest, turn: Turn, now: float, *, promoted: bool) -> None:
        claimed = turn.claimed
        self._claims += 1
        self._poll_at = now + self._poll_interval
        if turn.contended:  # by the time that it is: a claim may take longer than the wait
            self._poll_at = min(self._poll_at, self._contention.met(self._now()))
        else:
            self._contention.over()
        self._deep = len(claimed) + turn.refused >= request.limit
        if self._deep or (self._until_idle and claimed):  # only an empty claim means idle
            self._hungry = True
        elif self._until_idle and not promoted:
            self._promote_at = now  # and that nothing became due meanwhile
        if self._limits:
            self._limits.claimed(Counter(run.type for run in claimed), request.caps)
        if not claimed:
            return
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
        if work.request is not None:
            self._hungry = True
        if work.sweep:
            self._sweep_at = now
        if work.promote:
            self._promote_at = now
        kept = list(work.ended)
        if kept and not (isinstance(error, SqlError) and self._settling.is_for_all(kept, error)):
            kept, trouble = await self._settling.apart(kept)
            if trouble is None:
                return
            error = trouble
        # A file that refuses writes was writable when it was opened, and may be so again.
        passes = bool(getattr(error, "retryable", False)) or isinstance(error, DatabaseReadOnly)
        wait = self._backoff.failed(self._now())
        impatient = self._until_idle and self._backoff.failures > PATIENCE
        kept = self._settling.within_reason(kept, error, hopeless=impatient or not passes, now=now)
        self._executions.ended = [*kept, *self._executions.ended]
        if passes and (not self._until_idle or self._executions.ended or self._closing):
            self._logger.warning("inbox.poll_failed: %s; again in %.1f s", error, wait)
        else:
            self.failure = self.failure or error
