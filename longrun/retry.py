"""retry.on and retry.on_result: the rules of a pipeline's one retry engine."""

from collections.abc import Callable
from typing import Any

from longrun.backoff import DEFAULT, Backoff
from longrun.durations import retries as checked_retries
from longrun.durations import seconds
from longrun.engine import Rule
from longrun.errors import PipelineError
from longrun.failure.baseline import HINT_CAP
from longrun.matching import Errors, Matcher, Unwanted
from longrun.rule import On, OnResult

DEFAULT_RETRIES = 3


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
