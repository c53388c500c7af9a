"""Loop: the retry engine at work in one pipeline. It repeats what is below it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from longrun import deadline
from longrun.ambient import with_ambient
from longrun.attempt import Attempt, record
from longrun.clock import now, pause
from longrun.engine import Engine, GiveUp, RetryAfter, Rule, Spent
from longrun.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    GaveUp,
    RetryScheduled,
    emit,
)
from longrun.matching import Unwanted
from longrun.option import Site
from longrun.rule import On, OnResult

T = TypeVar("T")


class Loop:
    """The wrapper that a pipeline's rules, listeners and budget form together; safe for concurrent calls."""

    __slots__ = ("_plain", "engine", "parts", "predicates", "site")

    def __init__(self, parts: Sequence[On | OnResult], site: Site) -> None:
        self.parts = tuple(parts)
        self.site = site
        self.engine = Engine([part.rule for part in parts])
        self.predicates = tuple(part.predicate for part in parts if isinstance(part, OnResult))
        # With nobody to tell and nothing to look at, a call that succeeds leaves no trace and costs next to nothing.
        self._plain = not (site.listeners or self.predicates)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The table, in the order in which it is asked."""
        return self.engine.rules

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        if not self._plain:
            return await self._repeat(call, Tries(self))
        started = now()
        try:
            return await call()
        except Exception as error:
            tries = Tries(self)
            if not await tries.again(error, started):
                raise
        return await self._repeat(call, tries)

    async def _repeat(self, call: Callable[[], Awaitable[T]], tries: "Tries") -> T:
        while True:
            started = tries.begin()
            try:
                value = await call()
            except Exception as error:
                if await tries.again(error, started):
                    continue
                raise
            except BaseException as cancelled:
                tries.cancelled(cancelled, started)
                raise
            if not (self.predicates and self._unwanted(value)):
                tries.succeeded(started)
                return value
            if not await tries.again(Unwanted(value), started):
                return value

    def _unwanted(self, value: object) -> bool:
        return any(unwanted(value) for unwanted in self.predicates)

    def describe(self) -> str:
        if not self.parts:
            return "attempts, observed"
        return "\n".join(["retry", *(f"  {part.describe()}" for part in self.parts)])


class Tries:
    """The tries of one call: what was spent, what was tried, and who is told."""

    __slots__ = ("_failed", "_listeners", "_loop", "_spent")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._spent = Spent()
        self._failed: list[tuple[float, float, Exception, float]] = []  # start, duration, error, wait
        self._listeners = with_ambient(loop.site.listeners)

    def begin(self) -> float:
        """An attempt begins; the instant."""
        site = self._loop.site
        if self._listeners:
            emit(self._listeners, AttemptStarted(site.name, len(self._failed) + 1))
        return now()

    def succeeded(self, started: float) -> None:
        """The attempt returned a value that is accepted."""
        if self._listeners:
            index = len(self._failed) + 1
            emit(self._listeners, AttemptSucceeded(self._loop.site.name, index, now() - started))

    def cancelled(self, cancelled: BaseException, started: float) -> None:
        """The attempt was cancelled; no decision is taken."""
        if self._listeners:
            index = len(self._failed) + 1
            emit(self._listeners, AttemptCancelled(self._loop.site.name, index, now() - started))
        if self._failed:
            _blame(cancelled, self._failed[-1][2])

    async def again(self, error: Exception, started: float) -> bool:
        """Decide about *error*, and wait before the next attempt; False when there is to be none."""
        duration = now() - started
        decision = self._decide(error)
        if isinstance(decision, GiveUp):
            self._give_up(error, started, duration, decision)
            return False
        wait = decision.wait
        self._failed.append((started, duration, error, wait))
        if self._listeners:
            self._tell_retry(duration, error, decision)
        if wait > 0:
            try:
                await pause(wait)
            except BaseException as cancelled:
                if self._loop.site.budget is not None:
                    self._loop.site.budget.refund()
                _blame(cancelled, error)
                raise
        return True

    def _give_up(self, error: Exception, started: float, duration: float, decision: GiveUp) -> None:
        index = len(self._failed) + 1
        if self._listeners:
            name = self._loop.site.name
            emit(self._listeners, AttemptFailed(name, index, duration, error))
            emit(self._listeners, GaveUp(name, index, error, decision.reason))
        if not isinstance(error, Unwanted):
            attempts = [Attempt(n, *tried) for n, tried in enumerate(self._failed, start=1)]
            last = Attempt(index, started, duration, error, stopped_by=decision.rule, reason=decision.reason)
            record(error, (*attempts, last))

    def _decide(self, error: Exception) -> RetryAfter | GiveUp:
        site = self._loop.site
        decision = self._loop.engine.decide(error, self._spent, site.rng)
        if isinstance(decision, GiveUp):
            return decision
        left = deadline.left()
        if decision.wait >= left:
            return GiveUp(f"the next attempt is due in {decision.wait:.3g} s, the deadline in {left:.3g} s", "deadline")
        if site.budget is not None and not site.budget.spend():
            return GiveUp(f"the budget of retries is spent: {site.budget}", "budget")
        return decision

    def _tell_retry(self, duration: float, error: Exception, decision: RetryAfter) -> None:
        name, index = self._loop.site.name, len(self._failed)
        emit(self._listeners, AttemptFailed(name, index, duration, error))
        emit(self._listeners, RetryScheduled(name, index, decision.wait, decision.rule, error, decision.hint))


def _blame(cancelled: BaseException, error: BaseException) -> None:
    """Who cancels learns what was going wrong; a time limit above us makes it the cause of its error."""
    if cancelled.__cause__ is None:
        cancelled.__cause__ = error
