"""The agenda: what a poller does next - which round, or a wait until when - from what came of the rounds before."""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import ClaimRequest, Failed, Released, Turn
from orchestrator.inbox.worker.admission import BATCH, wanted
from orchestrator.inbox.worker.backoff import Backoff, Contention
from orchestrator.inbox.worker.executions import Executions
from orchestrator.inbox.worker.news import News
from orchestrator.inbox.worker.round import PROMOTE_BATCH, SWEEP_BATCH, Done, Round
from orchestrator.inbox.worker.routes import Routes

#: Seconds between two sweeps of expired leases.
SWEEP_INTERVAL = 5.0

#: Seconds until a sweep that would have met leases of our own.
LATE = 1.0

#: Seconds after a wake-up until it is seen whether it brought something for later.
PROMOTE_SOON = 0.25

#: Seconds between two promotions, at least.
PROMOTE_AGAIN = 0.01

#: Every so many claims, the longest waiting runs come first whatever their priority: none waits for ever.
AGEING = 8

#: Runs that a round must settle or claim to be carried out beside another one: smaller ones go together.
BESIDE = BATCH // 2


class Agenda:
    """No I/O, no waiting: the time comes in, in seconds of the event loop. It takes from *executions* what has ended.

    *most*: rounds at a time. *until_idle*: what ended may have submitted something, and only an empty claim means that
    nothing is left.
    """

    def __init__(
        self,
        store: Store,
        routes: Routes,
        executions: Executions,
        backoff: Backoff,
        contention: Contention,
        behind: Contention,
        *,
        most: int,
        worker_id: str,
        types: Sequence[str],
        prefixes: Sequence[str],
        lease: float,
        until_idle: bool,
    ) -> None:
        self.hungry = True
        """There may be something to claim."""
        self.news: News | None = None
        self._store = store
        self._routes = routes
        self._limits = routes.limits
        self._executions = executions
        self._backoff = backoff
        self._contention = contention
        self._behind = behind
        self._most = most
        self._worker_id = worker_id
        self._types = types
        self._prefixes = prefixes
        self._lease = lease
        self._until_idle = until_idle
        self._deep = False
        """The last claim brought as many as were asked for."""
        self._claims = 0
        self._sweep_at = self._promote_at = self._poll_at = self._woken_at = -math.inf

    @property
    def idle(self) -> bool:
        """Nothing is left to be claimed, as far as is known here."""
        return not self.hungry and not self._contention

    # -- what is next ------------------------------------------------------------------------------------------------

    def next_round(self, now: float, under_way: Collection[Round], *, closing: bool) -> Round | None:
        """What is to be done now, beside the rounds that are *under_way*; *closing* pollers only store what ended."""
        beside = bool(under_way)
        if len(under_way) >= self._most:
            return None
        open_ = now >= self._backoff.claim_from and not closing
        ended = self._executions.ended if now >= self._backoff.settle_from else []
        limit = self._limit(now, under_way) if open_ else 0
        if now >= self._sweep_at and self._is_late(now):
            self._sweep_at = now + LATE
        sweep = open_ and now >= self._next_sweep(under_way)
        promote = open_ and now >= self._next_promotion(under_way)
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
        return Round(self._store, ended, request, sweep=sweep, promote=promote, register=register)

    def next_at(self, now: float, under_way: Collection[Round], *, closing: bool) -> float:
        """When :meth:`next_round` is asked again, if nothing happens before; ``inf`` for never."""
        ended = bool(self._executions.ended) and not under_way  # else they go with the round behind it
        settles = max(self._backoff.settle_from, now) if ended else math.inf
        if closing:
            return settles
        if len(under_way) >= self._most:
            return math.inf
        rounds = min(self._next_sweep(under_way), self._next_promotion(under_way))
        if self._executions.free > 0 and not under_way:
            rounds = (
                -math.inf
                if self.hungry
                else min(rounds, self._poll_at, self._limits.next_at(now) if self._limits else math.inf)
            )
        return min(max(rounds, self._backoff.claim_from), settles)

    # A database that takes long over one of them is not asked for another one beside it. And who is to end when nothing
    # is left would never see that, if there was always one of them under way.

    def _next_sweep(self, under_way: Collection[Round]) -> float:
        waits = any(self._until_idle or work.sweep for work in under_way)
        return math.inf if waits else self._sweep_at

    def _next_promotion(self, under_way: Collection[Round]) -> float:
        waits = any(self._until_idle or work.promote for work in under_way)
        return math.inf if waits else self._promote_at

    def _limit(self, now: float, under_way: Collection[Round]) -> int:
        """How many runs to claim; beside another claim only from what is known to be a backlog."""
        executions, limits = self._executions, self._limits
        if under_way:
            hungry = self._deep and not limits  # what is being claimed counts towards limits when it is there
        else:
            finishing = self._until_idle and bool(executions.ended)
            if executions.room or finishing or now >= self._poll_at or (limits and now >= limits.next_at(now)):
                self.hungry, executions.room = True, False
            hungry = self.hungry
        if not hungry:
            return 0
        coming = sum(0 if work.request is None else work.request.limit for work in under_way)
        return wanted(free=executions.free - coming, slots=executions.slots, pace=executions.pace)

    def _request(self, now: float, limit: int) -> ClaimRequest | None:
        limits = self._limits
        types: Sequence[str] = self._types
        caps: Mapping[str, int] = {}
        if limits:
            caps = limits.caps(now)
            types = [kind for kind in types if caps.get(kind, 1) > 0]
            if not types and not self._prefixes:
                limits.claimed({}, caps)
                self._contention.over()
                self.hungry, self._poll_at = False, now + self._poll_interval
                return None
        self.hungry = False  # a wake-up while the claim is under way asks for another one
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

    def _is_late(self, now: float) -> bool:
        """Whether leases of our own have ended, as when the event loop was blocked: renewals come before sweeps."""
        first = next(iter(self._executions.held), None)
        return first is not None and now >= first.expires

    @property
    def _poll_interval(self) -> float:
        return math.inf if self.news is None else self.news.interval

    # -- what has happened -------------------------------------------------------------------------------------------

    def woken(self, now: float) -> None:
        """There may be something to claim, now or soon."""
        self.hungry = True
        self._woken_at = now
        self._promote_at = min(self._promote_at, now + PROMOTE_SOON)

    def done(self, work: Round, done: Done, now: float, *, began: float, closing: bool) -> None:
        """*work* was begun at *began*, and is committed."""
        if self.news is not None and work.request is not None:  # who has not looked has seen nothing
            self.news.pulse = done.pulse
        if work.register:
            self._routes.registered = True
        if done.swept is not None:
            full = done.swept.returned + done.swept.exhausted >= SWEEP_BATCH
            self._sweep_at = began if full else began + SWEEP_INTERVAL
            self.hungry = self.hungry or bool(done.swept.returned)
        if done.promoted is not None:
            next_in = done.promoted.next_in
            # What other processes put off rings here for nobody, and a poller with a backlog never looks by itself.
            soon = self._poll_interval if next_in is None else min(next_in, self._poll_interval)
            self._promote_at = began + max(soon, PROMOTE_AGAIN)
            if next_in == 0 and done.promoted.count < PROMOTE_BATCH:  # what is due is locked by others
                self._promote_at = max(self._promote_at, self._behind.met(now))
            else:
                self._behind.over()
            if self._woken_at > began:  # by what it may not have seen
                self._promote_at = min(self._promote_at, self._woken_at + PROMOTE_SOON)
            if done.promoted.count:
                self.hungry = True
        for each in work.ended:
            if isinstance(each.outcome, Failed) and each.outcome.retry_in is not None:
                self._promote_at = min(self._promote_at, began + each.outcome.retry_in)
            elif isinstance(each.outcome, Released) and not closing:
                self.hungry = True
        if work.request is not None:
            self._claimed(work.request, done.turn, began, now, promoted=done.promoted is not None)

    def failed(self, work: Round, now: float) -> None:
        """The database did not do *work*: what it was for, but for the outcomes, is to be done still."""
        if work.request is not None:
            self.hungry = True
        if work.sweep:
            self._sweep_at = now
        if work.promote:
            self._promote_at = now

    def _claimed(self, request: ClaimRequest, turn: Turn, began: float, now: float, *, promoted: bool) -> None:
        claimed = turn.claimed
        self._claims += 1
        self._poll_at = began + self._poll_interval
        if turn.contended:  # by the time that it is: a claim may take longer than the wait
            self._poll_at = min(self._poll_at, self._contention.met(now))
        else:
            self._contention.over()
        self._deep = len(claimed) + turn.refused >= request.limit
        if self._deep or turn.refused or (self._until_idle and claimed):  # only an empty claim means idle
            self.hungry = True
        elif self._until_idle and not promoted:
            self._promote_at = began  # and that nothing became due meanwhile
        if self._limits:
            self._limits.claimed(Counter(run.type for run in claimed), request.caps)
