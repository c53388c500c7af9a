"""Rules, and the budget above them, as parts of a pipeline: what ``retry`` and ``preset`` make."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from longrun.backoff import DEFAULT, Backoff
from longrun.durations import Duration, seconds
from longrun.durations import retries as checked_retries
from longrun.engine import Rule
from longrun.errors import PipelineError
from longrun.failure.baseline import HINT_CAP
from longrun.matching import Matcher
from longrun.option import ExtraAttempts, Part

T = TypeVar("T")


def build(
    matcher: Matcher,
    retries: int | None,
    backoff: Backoff | None,
    name: str,
    hint_cap: Duration = HINT_CAP,
    *,
    preset: bool = False,
    nested: bool = False,
    what: str = "retry.on",
) -> Rule:
    """A checked rule; ValueError for a budget below 1, PipelineError for what is no curve. *what* names the caller."""
    if backoff is not None and not callable(backoff):
        raise PipelineError(f"{what} backoff is {backoff!r}; give a curve such as backoff.exponential(1, 30)")
    return Rule(
        matcher,
        checked_retries(retries, f"{what} retries"),
        DEFAULT if backoff is None else backoff,
        name,
        seconds(hint_cap, f"{what} hint_cap"),
        preset,
        nested,
    )


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


class BudgetOption(Part):
    """A budget for the extra attempts of what stands below it; made by ``retry.budget``."""

    __slots__ = ("budget",)

    def __init__(self, budget: ExtraAttempts) -> None:
        self.budget = budget

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        """The budget at its own place: each call that passes earns its share, whatever stands below."""
        self.budget.called()
        return await call()

    def describe(self) -> str:
        return f"budget {self.budget}"


def _many(rule: Rule) -> str:
    if rule.retries is None:
        return "without limit"
    return "once" if rule.retries == 1 else f"up to {rule.retries} times"
