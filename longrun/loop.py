"""Loop: the retry engine at work in one pipeline. It repeats what is below it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, cast

from longrun import deadline
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

    __slots__ = ("_parts", "_plain", "engine", "predicates", "site")

    def __init__(self, parts: Sequence[On | OnResult], site: Site) -> None:
        self._parts = tuple(parts)
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
            if not any(unwanted(value) for unwanted in self.predicates):
                tries.succeeded(started)
                return value
            if not await tries.again(Unwanted(value), started):
                return value

    def describe(self) -> str:
        if not self._parts:
            return "attempts, observed"
        return "\n".join(["retry", *(f"  {part.describe()}" for part in self._parts)])


class Tries:
    """The tries of one call: what was spent, what was tried, and who is told."""

    __slots__ = ("_attempts", "_loop", "_spent")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._spent = Spent()
        self._attempts: list[Attempt] = []

    def begin(self) -> float:
        """An attempt begins; the instant."""
        site = self._loop.site
        if site.listeners:
            emit(site.listeners, AttemptStarted(site.name, len(self._attempts) + 1))
        return now()

    def succeeded(self, started: float) -> None:
        """The attempt returned a value that is accepted."""
        site = self._loop.site
        if site.listeners:
            emit(site.listeners, AttemptSucceeded(site.name, len(self._attempts) + 1, now() - started))

    def cancelled(self, cancelled: BaseException, started: float) -> None:
        """The attempt was cancelled; no decision is taken."""
        site = self._loop.site
        if site.listeners:
            emit(site.listeners, AttemptCancelled(site.name, len(self._attempts) + 1, now() - started))
        if self._attempts:
            _blame(cancelled, self._attempts[-1].error)

    async def again(self, error: Exception, started: float) -> bool:
        """Decide about *error*, and wait before the next attempt; False when there is to be none."""
        duration = now() - started
        decision = self._decide(error)
        index = len(self._attempts) + 1
        if isinstance(decision, GiveUp):
            last = Attempt(index, started, duration, error, stopped_by=decision.rule, reason=decision.reason)
            self._attempts.append(last)
            self._tell_given_up(last)
            if not isinstance(error, Unwanted):
                record(error, tuple(self._attempts))
            return False
        self._attempts.append(Attempt(index, started, duration, error, wait=decision.wait))
        self._tell_retry(index, duration, error, decision)
        try:
            await pause(decision.wait)
        except BaseException as cancelled:
            if self._loop.site.budget is not None:
                self._loop.site.budget.refund()
            _blame(cancelled, error)
            raise
        return True

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

    def _tell_retry(self, index: int, duration: float, error: Exception, decision: RetryAfter) -> None:
        name, listeners = self._loop.site.name, self._loop.site.listeners
        if listeners:
            emit(listeners, AttemptFailed(name, index, duration, error))
            emit(listeners, RetryScheduled(name, index, decision.wait, decision.rule, error, decision.hint))

    def _tell_given_up(self, last: Attempt) -> None:
        name, listeners = self._loop.site.name, self._loop.site.listeners
        if listeners:
            emit(listeners, AttemptFailed(name, last.index, last.duration, last.error))
            emit(listeners, GaveUp(name, last.index, last.error, cast("str", last.reason)))


def _blame(cancelled: BaseException, error: BaseException) -> None:
    """Who cancels learns what was going wrong; a time limit above us makes it the cause of its error."""
    if cancelled.__cause__ is None:
        cancelled.__cause__ = error
