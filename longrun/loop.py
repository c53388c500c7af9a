"""Loop: the retry engine at work in one pipeline. It repeats what is below it."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from anyio import CancelScope

from longrun import attempt, deadline
from longrun.ambient import with_ambient
from longrun.attempt import Attempt, record
from longrun.clock import now, pause
from longrun.engine import NESTED, Engine, GiveUp, RetryAfter, Rule, Spent
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
        mark, started = attempt.kept, now()
        try:
            return await call()
        except Exception as error:
            tries = Tries(self)
            wait = tries.judge(error, started, mark)
            if wait is None:
                raise
            if wait:
                await tries.rest(wait, error)
        return await self._repeat(call, tries)

    async def _repeat(self, call: Callable[[], Awaitable[T]], tries: "Tries") -> T:
        while True:
            mark, started = attempt.kept, tries.begin()
            try:
                value = await call()
            except Exception as error:
                wait = tries.judge(error, started, mark)
                if wait is None:
                    raise
                if wait:
                    await tries.rest(wait, error)
                continue
            except BaseException as cancelled:
                tries.cancelled(cancelled, started)
                raise
            if not (self.predicates and self._unwanted(value)):
                tries.succeeded(started)
                return value
            refused = Unwanted(value)
            wait = tries.judge(refused, started, mark)
            if wait is None:
                return value
            if wait:
                await tries.rest(wait, refused)

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
        # What failed refers by its traceback to the frames that refer to us: left so, only the collector would free it.
        self._failed.clear()

    def cancelled(self, cancelled: BaseException, started: float) -> None:
        """The attempt was cancelled; no decision is taken."""
        if self._listeners:
            index = len(self._failed) + 1
            emit(self._listeners, AttemptCancelled(self._loop.site.name, index, now() - started))
        if self._failed:
            _blame(cancelled, self._failed[-1][2])
        self._failed.clear()  # see succeeded

    def judge(self, error: Exception, started: float, mark: int, scope: CancelScope | None = None) -> float | None:
        """Decide about *error*, which ended the attempt that began at *started*: seconds to wait before the next one.

        None when there is to be none. *mark* is what ``attempt.kept`` was when the attempt began. *scope*, the time
        limit of the attempts, is lifted as soon as something is to be waited for.
        """
        duration = now() - started
        decision = self._decide(error, mark, scope)
        if type(decision) is GiveUp:
            self._give_up(error, started, duration, decision)
            return None
        wait = decision.wait
        self._failed.append((started, duration, error, wait))
        if self._listeners:
            self._tell_retry(duration, error, decision)
        return wait

    async def rest(self, wait: float, error: Exception) -> None:
        """Wait *wait* seconds after *error*. Who cancels this learns of *error*, and the budget gets its share back."""
        try:
            await pause(wait)
        except BaseException as cancelled:
            if self._loop.site.budget is not None:
                self._loop.site.budget.refund()
            _blame(cancelled, error)
            self._failed.clear()  # see succeeded
            raise

    def _give_up(self, error: Exception, started: float, duration: float, decision: GiveUp) -> None:
        index = len(self._failed) + 1
        if self._listeners:
            name = self._loop.site.name
            emit(self._listeners, AttemptFailed(name, index, duration, error))
            emit(self._listeners, GaveUp(name, index, error, decision.reason))
        if isinstance(error, Unwanted) or (decision.rule is NESTED and not self._failed):
            return  # the attempts that a pipeline below made say more than our single one
        attempts = [Attempt(n, *tried) for n, tried in enumerate(self._failed, start=1)]
        last = Attempt(index, started, duration, error, stopped_by=decision.rule, reason=decision.reason)
        self._failed.clear()  # see succeeded
        record(error, (*attempts, last))

    def _decide(self, error: Exception, mark: int, scope: CancelScope | None) -> RetryAfter | GiveUp:
        site = self._loop.site
        below = 0 if attempt.kept == mark else attempt.retries_since(mark, error)
        if isinstance(error, TypeError) and _is_misuse(error):
            return GiveUp("the call itself is wrong: what it calls cannot be awaited, or takes other arguments")
        decision = self._loop.engine.decide(error, self._spent, site.rng, below)
        if type(decision) is GiveUp:
            return decision
        wait = decision.wait
        if scope is not None and wait:
            scope.deadline = math.inf
        left = deadline.left()
        if scope is not None and wait >= left:
            scope.deadline = math.inf  # it may be the attempt's own limit that has passed
            left = deadline.left()
        if wait >= left:
            return GiveUp(f"the next attempt is due in {wait:.3g} s, the deadline in {left:.3g} s", "deadline")
        if site.budget is not None and not site.budget.spend():
            return GiveUp(f"the budget of retries is spent: {site.budget}", "budget")
        return decision

    def _tell_retry(self, duration: float, error: Exception, decision: RetryAfter) -> None:
        name, index = self._loop.site.name, len(self._failed)
        emit(self._listeners, AttemptFailed(name, index, duration, error))
        emit(self._listeners, RetryScheduled(name, index, decision.wait, decision.rule, error, decision.hint))


def _is_misuse(error: TypeError) -> bool:
    """Whether *error* was raised where longrun calls and awaits, and not by what was called."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = "" if last is None else str(last.tb_frame.f_globals.get("__name__"))
    return where.startswith("longrun.") and not where.startswith("longrun.testing.")


def _blame(cancelled: BaseException, error: BaseException) -> None:
    """Who cancels learns what was going wrong; a time limit above us makes it the cause of its error."""
    if cancelled.__cause__ is None:
        cancelled.__cause__ = error
