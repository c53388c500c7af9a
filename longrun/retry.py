"""retry.on and retry.on_result: the rules of a pipeline's one retry engine."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, TypeVar, cast

import anyio

from longrun import deadline
from longrun.attempt import Attempt, record
from longrun.backoff import DEFAULT, Backoff
from longrun.clock import pause
from longrun.durations import retries as checked_retries
from longrun.durations import seconds
from longrun.engine import Engine, GiveUp, RetryAfter, Rule, Spent
from longrun.errors import PipelineError
from longrun.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    GaveUp,
    Listener,
    RetryScheduled,
    emit,
)
from longrun.failure.baseline import HINT_CAP
from longrun.matching import Errors, Matcher, Unwanted
from longrun.option import Part

T = TypeVar("T")

DEFAULT_RETRIES = 3


class On(Part):
    """A rule about errors; made by :func:`on`."""

    __slots__ = ("rule",)

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def describe(self) -> str:
        return f"on {self.rule.matcher.description}: {_many(self.rule)}, {self.rule.backoff}"


class OnResult(Part):
    """A rule about returned values; made by :func:`on_result`."""

    __slots__ = ("predicate", "rule")

    def __init__(self, predicate: Callable[[Any], bool], rule: Rule) -> None:
        self.predicate = predicate
        self.rule = rule

    def describe(self) -> str:
        return f"on result {self.rule.name}: {_many(self.rule)}, {self.rule.backoff}"


def on(
    errors: Errors,
    retries: int | None = DEFAULT_RETRIES,
    backoff: Backoff | None = None,
    *,
    name: str | None = None,
    hint_cap: float = HINT_CAP,
) -> On:
    """Retry *errors*: classes, an instance (by identity), a predicate, or a tuple of these.

    *retries* n means n + 1 calls, None no limit; each rule has its own budget, fresh for every call. *backoff* defaults
    to ``exponential(1, 30)`` with jitter. An error whose ``retry_after`` asks for more than *hint_cap* seconds is not
    retried. Of an exception group every leaf must be meant by some rule. Raises ValueError for a budget below 1,
    PipelineError for errors that make no sense.
    """
    matcher = Matcher(errors)
    return On(_rule(matcher, retries, backoff, name or matcher.description, hint_cap))


def on_result(
    predicate: Callable[[Any], bool],
    retries: int | None = DEFAULT_RETRIES,
    backoff: Backoff | None = None,
    *,
    name: str | None = None,
    hint_cap: float = HINT_CAP,
) -> OnResult:
    """Retry while *predicate* is true of the returned value; when the budget is spent the last value is returned."""
    if not callable(predicate):
        raise PipelineError(f"retry.on_result was given {predicate!r}; give a callable (value) -> bool")

    def unwanted(error: Exception) -> bool:
        return isinstance(error, Unwanted) and predicate(error.value)

    named = name or str(getattr(predicate, "__qualname__", "predicate"))
    return OnResult(predicate, _rule(Matcher(unwanted, results=True), retries, backoff, named, hint_cap))


class Loop:
    """The retry engine at work in one pipeline: an option that repeats what is below it."""

    __slots__ = ("_engine", "_listeners", "_predicates", "_rng", "_rules", "name")

    def __init__(self, rules: list[On | OnResult], listeners: tuple[Listener, ...], name: str, rng: Random) -> None:
        self._rules = rules
        self._engine = Engine([part.rule for part in rules])
        self._predicates = tuple(part.predicate for part in rules if isinstance(part, OnResult))
        self._listeners = listeners
        self._rng = rng
        self.name = name

    def describe(self) -> str:
        return (
            "retry\n" + "\n".join(f"  {part.describe()}" for part in self._rules)
            if self._rules
            else "attempts, observed"
        )

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        spent = Spent()
        attempts: list[Attempt] = []
        while True:
            index = len(attempts) + 1
            start = anyio.current_time()
            if self._listeners:
                emit(self._listeners, AttemptStarted(self.name, index))
            try:
                value = await call()
                if not self._predicates or not any(unwanted(value) for unwanted in self._predicates):
                    if self._listeners:
                        emit(self._listeners, AttemptSucceeded(self.name, index, anyio.current_time() - start))
                    return value
                raise Unwanted(value)
            except Exception as error:
                duration = anyio.current_time() - start
                decision = self._decide(error, spent)
                attempts.append(_attempt(index, start, duration, error, decision))
                self._tell(index, duration, error, decision)
                if isinstance(decision, GiveUp):
                    if isinstance(error, Unwanted):
                        return cast("T", error.value)
                    record(error, tuple(attempts))
                    raise
                try:
                    await pause(decision.wait)
                except BaseException as cancelled:
                    _blame(cancelled, error)
                    raise
            except BaseException as cancelled:
                if self._listeners:
                    emit(self._listeners, AttemptCancelled(self.name, index, anyio.current_time() - start))
                if attempts:
                    _blame(cancelled, attempts[-1].error)
                raise

    def _decide(self, error: Exception, spent: Spent) -> RetryAfter | GiveUp:
        decision = self._engine.decide(error, spent, self._rng)
        if isinstance(decision, RetryAfter):
            left = deadline.left()
            if decision.wait >= left:
                return GiveUp(
                    f"the next attempt is due in {decision.wait:.3g} s, the deadline in {left:.3g} s", "deadline"
                )
        return decision

    def _tell(self, index: int, duration: float, error: Exception, decision: RetryAfter | GiveUp) -> None:
        if not self._listeners:
            return
        emit(self._listeners, AttemptFailed(self.name, index, duration, error))
        if isinstance(decision, RetryAfter):
            scheduled = RetryScheduled(self.name, index, decision.wait, decision.rule, error, decision.hint)
            emit(self._listeners, scheduled)
        else:
            emit(self._listeners, GaveUp(self.name, index, error, decision.reason))


def _blame(cancelled: BaseException, error: BaseException) -> None:
    """Who cancels learns what was going wrong; a time limit above us makes it the cause of its error."""
    if cancelled.__cause__ is None:
        cancelled.__cause__ = error


def _attempt(index: int, start: float, duration: float, error: Exception, decision: RetryAfter | GiveUp) -> Attempt:
    if isinstance(decision, RetryAfter):
        return Attempt(index, start, duration, error, wait=decision.wait)
    return Attempt(index, start, duration, error, stopped_by=decision.rule, reason=decision.reason)


def _many(rule: Rule) -> str:
    if rule.retries is None:
        return "without limit"
    return "once" if rule.retries == 1 else f"up to {rule.retries} times"


def _rule(matcher: Matcher, retries: int | None, backoff: Backoff | None, name: str, hint_cap: float) -> Rule:
    if backoff is not None and not callable(backoff):
        raise PipelineError(f"retry backoff is {backoff!r}; give a curve such as backoff.exponential(1, 30)")
    return Rule(
        matcher,
        checked_retries(retries, "retry.on retries"),
        DEFAULT if backoff is None else backoff,
        name,
        seconds(hint_cap, "retry.on hint_cap"),
    )
