"""Rules as parts of a pipeline: what ``retry.on`` and ``retry.on_result`` make."""

from collections.abc import Callable
from typing import Any

from longrun.engine import Rule
from longrun.option import ExtraAttempts, Part


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

    def describe(self) -> str:
        return str(self.budget)


def _many(rule: Rule) -> str:
    if rule.retries is None:
        return "without limit"
    return "once" if rule.retries == 1 else f"up to {rule.retries} times"
