"""The one retry engine: given a failure and what was spent so far, retry at a time or give up. Pure.

``do`` and ``Pipeline`` use it with rules; tasks use it with rules asked first and a baseline behind them.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, TypeAlias, final

from longrun.backoff import Backoff, jitter_of
from longrun.capabilities import longest_hint, retry_after
from longrun.chain import leaves
from longrun.failure.baseline import Baseline
from longrun.failure.category import Category
from longrun.matching import Matcher

_log = logging.getLogger("longrun.engine")


@dataclass(frozen=True, slots=True)
class Rule:
    """Which errors are retried, how often, and how long is waited before each retry.

    *nested*: also errors that a pipeline below has already retried in vain.
    """

    matcher: Matcher
    retries: int | None
    backoff: Backoff
    name: str
    hint_cap: float
    preset: bool = False
    nested: bool = False


@final
class RetryAfter(NamedTuple):
    """Try again in *wait* seconds. *rule* is who decided: a rule's name, or a category in lower case."""

    wait: float
    rule: str
    retry: int
    category: Category | None = None
    hint: float | None = None


@final
@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again. *reason* completes the sentence "gave up: ..."."""

    reason: str
    rule: str | None = None
    category: Category | None = None


Decision: TypeAlias = RetryAfter | GiveUp


#: Who stops a call whose error has already been retried by a pipeline below.
NESTED = "nested"

_NOTHING = (0, 0.0)


class Spent:
    """What one call, or one task since its last success, has spent: retries and the last wait, per rule."""

    __slots__ = ("_kept", "latest")

    def __init__(self) -> None:
        self._kept: dict[int | Category, tuple[int, float]] = {}
        #: What was charged last.
        self.latest: int | Category | None = None

    def under(self, key: int | Category) -> tuple[int, float]:
        """Retries spent under *key*, and the wait before the last of them; nothing and 0.0 at first."""
        return self._kept.get(key, _NOTHING)

    def charge(self, key: int | Category, retry: int, wait: float) -> None:
        """Retry number *retry* under *key* is made after *wait* seconds."""
        self._kept[key] = retry, wait
        self.latest = key

    def forget(self) -> None:
        """A success: every budget is full again."""
        self._kept.clear()
        self.latest = None

    def __bool__(self) -> bool:
        return bool(self._kept)


class Engine:
    """An ordered table of rules and, for tasks, a baseline behind it.

    Rules are asked in order, those of a preset behind the user's own and a catch-all last, whatever their place. A rule
    that matches and has spent its retries ends the call: later rules and the baseline are not asked.
    """

    def __init__(self, rules: Sequence[Rule] = (), baseline: Baseline | None = None) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: (rule.matcher.catches_all, rule.preset)))
        self.baseline = baseline

    def budgets(self) -> Iterator[tuple[int | Category, str, int | None]]:
        """What retries are charged under: the key, a name that is its own in this engine, and the budget."""
        for index, rule in enumerate(self.rules):
            yield index, f"{index}:{rule.name}", rule.retries
        for category in Category:
            policy = None if self.baseline is None else self.baseline.policy(category)
            if policy is not None:
                yield category, category.name.lower(), policy.retries

    def decide(self, error: Exception, spent: Spent, rng: Random, below: int = 0) -> Decision:
        """What to do about *error*. Charges *spent* only when the answer is to retry.

        *below*: how often a pipeline further down has already retried what *error* says. Layers that retry what layers
        below them retried multiply (three of four attempts make 64 calls), so a rule does so only when it says that it
        wants to. Source: "Site Reliability Engineering", Handling Overload: retry at one layer, tell the others not to.

        Predicates and backoffs are foreign code: one that raises, or gives no number of seconds, ends the call with
        *error* itself and is named in the reason.
        """
        try:
            return self._decide(error, spent, rng, below)
        except Exception as defect:  # noqa: BLE001 - whatever it is, it must not take the place of the failure
            _log.exception("judging %s failed; it is not retried", type(error).__name__)
            return GiveUp(f"judging it failed: {defect!r}")

    def _decide(self, error: Exception, spent: Spent, rng: Random, below: int) -> Decision:
        if not isinstance(error, BaseExceptionGroup):
            for index, rule in enumerate(self.rules):
                if rule.matcher.matches(error):
                    answer = _ask(rule, retry_after(error), spent.under(index), rng, below)
                    if type(answer) is RetryAfter:
                        spent.charge(index, answer.retry, answer.wait)
                    return answer
        elif chosen := self._choose(error):
            return self._by_rules(error, chosen, spent, rng, below)
        if self.baseline is not None:
            return self._by_baseline(error, self.baseline, spent, rng)
        return GiveUp(f"no rule retries {type(error).__name__}")

    def _choose(self, error: BaseExceptionGroup[BaseException]) -> tuple[int, ...]:
        """Indexes of the rules that together cover the group; empty when a part of it is not covered."""
        for index, rule in enumerate(self.rules):
            if rule.matcher.matches_whole(error):
                return (index,)
        chosen: list[int] = []
        for leaf in leaves(error):
            index = next((i for i, rule in enumerate(self.rules) if rule.matcher.matches(leaf)), -1)
            if index < 0:
                return ()
            if index not in chosen:
                chosen.append(index)
        return tuple(chosen)

    def _by_rules(self, error: Exception, chosen: tuple[int, ...], spent: Spent, rng: Random, below: int) -> Decision:
        hint = longest_hint((error, *leaves(error)))
        answers: list[tuple[int, RetryAfter]] = []
        for index in chosen:
            answer = _ask(self.rules[index], hint, spent.under(index), rng, below)
            if isinstance(answer, GiveUp):
                return answer
            answers.append((index, answer))
        for index, answer in answers:
            spent.charge(index, answer.retry, answer.wait)
        return max((answer for _, answer in answers), key=lambda answer: answer.wait)

    def _by_baseline(self, error: Exception, baseline: Baseline, spent: Spent, rng: Random) -> Decision:
        failure = baseline.failure(error)
        category = failure.category
        policy = baseline.policy(category)
        if policy is None:
            return GiveUp(_why_permanent(error, category), category=category)
        used, previous = spent.under(category)
        name = category.name.lower()
        if policy.retries is not None and used >= policy.retries:
            return GiveUp(_spent(used, f"category {category.name}"), name, category)
        hint = None if failure.wait_hint is None else min(failure.wait_hint, baseline.hint_cap)
        wait = _wait(policy.backoff, hint, used, previous, rng)
        spent.charge(category, used + 1, wait)
        return RetryAfter(wait, name, used + 1, category, hint)


def _ask(rule: Rule, hint: float | None, spent: tuple[int, float], rng: Random, below: int) -> Decision:
    """The answer of one rule that matches: so many of its retries are *spent*, the last after so many seconds."""
    if below and not rule.nested:
        return GiveUp(f"a pipeline below made {below + 1} attempts in vain, and retries do not multiply", NESTED)
    used, previous = spent
    if rule.retries is not None and used >= rule.retries:
        return GiveUp(_spent(used, f"rule {rule.name!r}"), rule.name)
    if hint is not None and hint > rule.hint_cap:
        return GiveUp(f"asked to wait {hint:g} s, above the cap of {rule.hint_cap:g} s", rule.name)
    return RetryAfter(_wait(rule.backoff, hint, used, previous, rng), rule.name, used + 1, None, hint)


def _wait(backoff: Backoff, hint: float | None, used: int, previous: float, rng: Random) -> float:
    """The curve's wait; a hint replaces it, spread upward only: "at least" is what was asked for."""
    if hint is None:
        wait = backoff(used, previous, rng)
        if not isinstance(wait, (int, float)) or not 0 <= wait < math.inf:
            raise ValueError(f"backoff {backoff} gave {wait!r}; it must give a finite number of seconds, at least 0")
        return wait
    share = jitter_of(backoff)
    return hint * (1 + share * rng.random()) if share else hint


def _why_permanent(error: Exception, category: Category) -> str:
    if category is Category.PERMANENT:
        return f"{type(error).__name__} is permanent"
    return f"{type(error).__name__} is of no known kind, and such failures are not retried here"


def _spent(count: int, owner: str) -> str:
    return f"the one retry of {owner} is spent" if count == 1 else f"{count} retries of {owner} are spent"
