"""retry: the rules of a pipeline's one retry engine, registries of temporary errors, budgets of extra attempts."""

from collections.abc import Callable
from typing import Any

from longrun.backoff import Backoff
from longrun.budget.budget import Budget
from longrun.budget.settings import FLOOR, RATIO, BudgetSettings
from longrun.errors import PipelineError
from longrun.failure.baseline import HINT_CAP
from longrun.matching import Errors, Matcher, Unwanted
from longrun.registry import Registry
from longrun.rule import BudgetOption, On, OnResult, build
from longrun.shared import shared

__all__ = ["DEFAULT_RETRIES", "Registry", "budget", "on", "on_result"]

DEFAULT_RETRIES = 3


def on(
    errors: Errors,
    retries: int | None = DEFAULT_RETRIES,
    backoff: Backoff | None = None,
    *,
    name: str | None = None,
    hint_cap: float = HINT_CAP,
    nested: bool = False,
) -> On:
    """Retry *errors*: classes, an instance (by identity), a predicate, a :class:`Registry`, or a tuple of these.

    *retries* n means n + 1 calls, None no limit; each rule has its own budget, fresh for every call. *backoff* defaults
    to ``exponential(1, 30)`` with jitter. An error whose ``retry_after`` asks for more than *hint_cap* seconds is not
    retried. Of an exception group every leaf must be meant by some rule. An error that a pipeline below has already
    retried in vain is not retried again, or three layers of four attempts would make 64 calls; *nested* allows it.
    Raises ValueError for a budget below 1, PipelineError for errors that make no sense.
    """
    matcher = Matcher(errors)
    return On(build(matcher, retries, backoff, name or matcher.description, hint_cap, nested=nested))


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
    return OnResult(predicate, build(Matcher(unwanted, results=True), retries, backoff, named, hint_cap))


def budget(name: str, *, ratio: float = RATIO, floor: float = FLOOR) -> BudgetOption:
    """A budget for the retries and hedges below it, one for all pipelines of the process that name it.

    They may make *floor* extra attempts per second, whatever happens, and beyond these *ratio* extra attempts for each
    call of the last 10 s. When it is spent no extra attempt is made and the call's own error comes out: a budget never
    waits. Defaults as in Twitter's Finagle. PipelineError for numbers that make no sense, and for a name that is in use
    with other numbers.
    """
    settings = BudgetSettings(ratio, floor)
    return BudgetOption(shared("budget", name, settings, lambda: Budget(name, settings)))
