"""The retry engine by itself: what it decides, what it charges, and what it hands to a backoff."""

import logging
import math
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from longrun import Baseline, Category, Failure, Policy, retry
from longrun.backoff import Backoff, constant, exponential
from longrun.engine import NESTED, Engine, GiveUp, RetryAfter, Rule, Spent
from longrun.rule import On


class First(Exception):
    """A failure of one kind."""


class Second(Exception):
    """A failure of another kind."""


class Third(Exception):
    """A failure that no rule means."""


class Busy(Exception):
    """The other side says how long."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


class Recording:
    """A backoff that keeps what it is asked with; the waits are 10, 11, 12, ... seconds."""

    def __init__(self, first: float = 10.0) -> None:
        self.first = first
        self.asked: list[tuple[int, float, Random]] = []

    def __call__(self, attempt: int, previous: float, rng: Random) -> float:
        self.asked.append((attempt, previous, rng))
        return self.first + attempt


def rules(*options: On) -> list[Rule]:
    return [option.rule for option in options]


def on(kind: type[Exception], retries: int | None, backoff: Backoff, cap: float = 60.0) -> On:
    """A rule named like the class it means."""
    return retry.on(kind, retries, backoff, name=kind.__name__.lower(), hint_cap=cap)


rng = Random(1)


def test_what_a_rule_and_an_answer_do_not_say_is_nothing() -> None:
    """A rule is the user's own and leaves alone what was retried below; an answer has no category and no hint."""
    plain = on(First, 1, constant(1)).rule
    rule = Rule(plain.matcher, plain.retries, plain.backoff, plain.name, plain.hint_cap)
    again, ended = RetryAfter(1.0, "x", 1), GiveUp("why")

    assert (rule.preset, rule.nested) == (False, False)
    assert (again.category, again.hint, ended.rule, ended.category) == (None, None, None, None)
    assert NESTED == "nested"


def test_what_no_rule_means_is_given_up_with_the_name_of_its_class() -> None:
    """No rule and no baseline, or only rules for others."""
    engine = Engine(rules(on(First, 1, constant(1))))

    assert engine.decide(Third(), Spent(), rng) == GiveUp("no rule retries Third")
    assert Engine().decide(Third(), Spent(), rng) == GiveUp("no rule retries Third")


@pytest.mark.parametrize(
    ("retries", "said"), [(1, "the one retry of rule 'first' is spent"), (3, "3 retries of rule 'first' are spent")]
)
def test_a_rule_retries_so_often_and_then_names_itself(retries: int, said: str) -> None:
    """Its backoff is asked with the retries so far, the wait before and the engine's chance."""
    backoff, spent = Recording(), Spent()
    engine = Engine(rules(on(First, retries, backoff)))

    answers = [engine.decide(First(), spent, rng) for _ in range(retries + 1)]

    assert answers[:-1] == [RetryAfter(10.0 + index, "first", index + 1) for index in range(retries)]
    assert answers[-1] == GiveUp(said, "first")
    assert backoff.asked == [(index, 9.0 + index if index else 0.0, rng) for index in range(retries)]


def test_a_success_makes_every_budget_full_again() -> None:
    """Retries and the wait before are both forgotten."""
    backoff, spent = Recording(), Spent()
    engine = Engine(rules(on(First, 1, backoff)))
    engine.decide(First(), spent, rng)
    charged = bool(spent)

    spent.forget()

    assert (charged, bool(spent)) == (True, False)
    assert engine.decide(First(), spent, rng) == RetryAfter(10.0, "first", 1)
    assert backoff.asked == [(0, 0.0, rng), (0, 0.0, rng)]


def test_rules_are_asked_in_order_a_catch_all_last() -> None:
    """Whatever their place in the list."""
    engine = Engine(rules(retry.on(Exception, name="any"), on(First, 1, constant(1)), on(Second, 1, constant(1))))

    assert [rule.name for rule in engine.rules] == ["first", "second", "any"]


@pytest.mark.parametrize("kinds", [(First, Second), (Second, First), (Second, First, Second)])
def test_a_group_that_several_rules_cover_waits_for_the_longest_and_charges_each(
    kinds: tuple[type[Exception], ...],
) -> None:
    """Each rule once, with its own count and its own wait before."""
    short, long, spent = Recording(10.0), Recording(50.0), Spent()
    engine = Engine(rules(on(First, 3, short), on(Second, 2, long)))
    group = ExceptionGroup("both", [kind() for kind in kinds])

    answers = [engine.decide(group, spent, rng) for _ in range(3)]

    assert answers == [
        RetryAfter(50.0, "second", 1), RetryAfter(51.0, "second", 2),
        GiveUp("2 retries of rule 'second' are spent", "second"),
    ]  # fmt: skip
    assert short.asked[:2] == [(0, 0.0, rng), (1, 10.0, rng)]
    assert long.asked == [(0, 0.0, rng), (1, 50.0, rng)]


def test_of_two_equal_waits_of_a_group_the_first_ones_rule_is_named() -> None:
    """In the order of its members."""
    engine = Engine(rules(on(First, 1, constant(5)), on(Second, 1, constant(5))))

    answers = [
        engine.decide(ExceptionGroup("both", row), Spent(), rng)
        for row in ([First(), Second()], [Second(), First()])
    ]  # fmt: skip

    assert [answer.rule for answer in answers] == ["first", "second"]


def test_a_rule_that_names_groups_takes_one_as_a_whole() -> None:
    """Whatever is in it; without such a rule its leaves decide."""
    whole = Engine(rules(on(First, 1, constant(5)), on(ExceptionGroup, 1, constant(7))))
    group = ExceptionGroup("g", [First(), Third()])

    assert whole.decide(group, Spent(), rng) == RetryAfter(7.0, "exceptiongroup", 1)
    assert Engine(whole.rules[:1]).decide(group, Spent(), rng) == GiveUp("no rule retries ExceptionGroup")


def test_what_a_pipeline_below_has_retried_is_retried_again_only_by_a_rule_that_wants_to() -> None:
    """The reason counts the attempts below; nothing is charged. Alone or in a group."""
    spent = Spent()
    plain = Engine(rules(on(First, 3, constant(1))))
    nested = Engine(rules(retry.on(First, 3, constant(1), name="first", nested=True)))
    group = ExceptionGroup("g", [First(), First()])
    given_up = GiveUp("a pipeline below made 3 attempts in vain, and retries do not multiply", NESTED)

    assert [plain.decide(error, spent, rng, 2) for error in (First(), group)] == [given_up, given_up]
    assert not spent
    assert [nested.decide(error, Spent(), rng, 2) for error in (First(), group)] == [RetryAfter(1.0, "first", 1)] * 2
    assert plain.decide(First(), spent, rng, 0) == RetryAfter(1.0, "first", 1)


def test_a_group_that_is_given_up_charges_nobody() -> None:
    """The rule that would have gone on has all its retries left."""
    spent = Spent()
    engine = Engine(rules(on(First, 2, constant(1)), on(Second, 1, constant(1))))
    group = ExceptionGroup("both", [First(), Second()])
    engine.decide(group, spent, rng)

    ended = engine.decide(group, spent, rng)
    alone = engine.decide(First(), spent, rng)

    assert ended == GiveUp("the one retry of rule 'second' is spent", "second")
    assert alone == RetryAfter(1.0, "first", 2)


@pytest.mark.parametrize("members", [[Third()], [First(), Third()], [Second(), Third()], [Third(), Second(), First()]])
def test_a_group_with_one_leaf_that_no_rule_means_is_not_retried(members: list[Exception]) -> None:
    """However many rules there are: none of them speaks for it, and nothing is charged."""
    spent = Spent()
    engine = Engine(rules(on(First, 1, constant(1)), on(Second, 1, constant(1))))

    answer = engine.decide(ExceptionGroup("mixed", members), spent, rng)

    assert answer == GiveUp("no rule retries ExceptionGroup")
    assert not spent


def test_a_group_waits_for_the_longest_hint_among_its_members() -> None:
    """Whichever of the rules that cover it is asked, the hint replaces its curve."""
    engine = Engine(rules(on(Busy, 1, constant(1)), on(First, 1, constant(2))))

    answer = engine.decide(ExceptionGroup("both", [Busy(7), First(), Busy(9)]), Spent(), rng)

    assert isinstance(answer, RetryAfter)
    assert (answer.wait, answer.hint) == (9.0, 9.0)


@pytest.mark.parametrize(("hint", "waits"), [(59.0, True), (60.0, True), (60.5, False)])
def test_a_hint_is_waited_for_up_to_the_cap_of_the_rule(hint: float, waits: bool) -> None:
    """The cap itself is still fine."""
    spent = Spent()
    answer = Engine(rules(on(Busy, 1, constant(1)))).decide(Busy(hint), spent, rng)

    if waits:
        assert answer == RetryAfter(hint, "busy", 1, None, hint)
    else:
        assert answer == GiveUp(f"asked to wait {hint:g} s, above the cap of 60 s", "busy")
    assert bool(spent) is waits


def test_a_hint_is_spread_upward_by_the_jitter_of_the_curve_beside_it() -> None:
    """At least is what was asked for; a plain callable spreads it by a tenth."""
    drawn = Random(7).random()
    curves: tuple[Backoff, ...] = (constant(1), exponential(1, 9, jitter=0.5), Recording())

    waits = [Engine(rules(on(Busy, 1, curve))).decide(Busy(20), Spent(), Random(7)) for curve in curves]

    assert [wait.wait for wait in waits if isinstance(wait, RetryAfter)] == pytest.approx(
        [20, 20 * (1 + 0.5 * drawn), 20 * (1 + 0.1 * drawn)]
    )


@pytest.mark.parametrize("wait", [-1.0, -1e-9, math.nan, math.inf, "1", None])
def test_a_backoff_that_gives_no_number_of_seconds_ends_the_call_and_is_named(
    wait: float, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason says what it gave; the log has the traceback; nothing is charged."""
    spent = Spent()

    with caplog.at_level(logging.ERROR, logger="longrun.engine"):
        answer = Engine(rules(on(First, 5, lambda *_: wait))).decide(First(), spent, rng)

    assert isinstance(answer, GiveUp)
    assert answer.reason.startswith("judging it failed: ValueError(")
    assert f"gave {wait!r}; it must give a finite number of seconds, at least 0" in answer.reason
    assert [record.getMessage() for record in caplog.records] == ["judging First failed; it is not retried"]
    assert caplog.records[0].exc_info is not None
    assert not spent


@pytest.mark.parametrize("wait", [0, 0.0, 5, 1e9])
def test_a_wait_may_be_zero_and_may_be_a_whole_number(wait: float) -> None:
    """At once is a wait."""
    answer = Engine(rules(on(First, 5, lambda *_: wait))).decide(First(), Spent(), rng)

    assert answer == RetryAfter(wait, "first", 1)


def judged(category: Category, hint: float | None = None) -> Baseline:
    """A baseline that finds everything to be *category*."""
    return Baseline(classify=lambda _error: Failure(category, hint))


@pytest.mark.parametrize(
    ("category", "policy"), [(Category.NODE, "node"), (Category.SERVICE, "service"), (Category.UNKNOWN, "degraded")]
)
def test_behind_the_rules_the_baseline_decides_by_category(category: Category, policy: str) -> None:
    """Named by the category in lower case, with a count and a wait before of its own."""
    backoff, spent = Recording(), Spent()
    chosen: dict[str, Any] = {policy: Policy(backoff, retries=2)}
    engine = Engine(baseline=replace(judged(category), **chosen))
    name = category.name.lower()

    answers = [engine.decide(Third(), spent, rng) for _ in range(3)]

    assert answers == [
        RetryAfter(10.0, name, 1, category),
        RetryAfter(11.0, name, 2, category),
        GiveUp(f"2 retries of category {category.name} are spent", name, category),
    ]
    assert backoff.asked == [(0, 0.0, rng), (1, 10.0, rng)]


def test_the_categories_of_a_baseline_count_apart() -> None:
    """A failure of the service does not spend what the way there has."""
    spent = Spent()
    curve = exponential(1, 100, jitter=0)
    baseline = Baseline(
        node=Policy(curve), service=Policy(curve), classify=lambda e: Failure(Category.SERVICE) if e.args else None
    )
    engine = Engine(baseline=baseline)

    failures = [ConnectionError(), ConnectionError(), First("busy"), ConnectionError()]
    answers = [engine.decide(failure, spent, rng) for failure in failures]

    assert [(answer.rule, answer.wait) for answer in answers if isinstance(answer, RetryAfter)] == [
        ("node", 1.0), ("node", 2.0), ("service", 1.0), ("node", 4.0),
    ]  # fmt: skip


@pytest.mark.parametrize(("hint", "waited"), [(20.0, 20.0), (50.0, 50.0), (51.0, 50.0), (1e9, 50.0)])
def test_a_hint_above_the_cap_of_a_baseline_waits_the_cap(hint: float, waited: float) -> None:
    """A worker lives: it comes back and is told again."""
    engine = Engine(baseline=replace(judged(Category.SERVICE, hint), service=Policy(constant(1)), hint_cap=50.0))

    assert engine.decide(Third(), Spent(), rng) == RetryAfter(waited, "service", 1, Category.SERVICE, waited)


def test_a_category_without_a_policy_is_given_up_in_words() -> None:
    """Permanent failures always, unknown ones where the baseline says so."""
    permanent = Engine(baseline=judged(Category.PERMANENT)).decide(Third(), Spent(), rng)
    unknown = Engine(baseline=Baseline(degraded=None)).decide(Third(), Spent(), rng)

    assert permanent == GiveUp("Third is permanent", None, Category.PERMANENT)
    assert unknown == GiveUp(
        "Third is of no known kind, and such failures are not retried here", None, Category.UNKNOWN
    )


def test_a_rule_speaks_before_the_baseline_and_a_spent_one_ends_it() -> None:
    """Also for a group, which goes to the baseline as a whole when a leaf is not covered."""
    spent = Spent()
    engine = Engine(rules(on(First, 1, constant(3))), replace(judged(Category.NODE), node=Policy(constant(8))))

    answers = [engine.decide(First(), spent, rng) for _ in range(2)]
    group = engine.decide(ExceptionGroup("mixed", [First(), Third()]), spent, rng)

    assert answers == [RetryAfter(3.0, "first", 1), GiveUp("the one retry of rule 'first' is spent", "first")]
    assert group == RetryAfter(8.0, "node", 1, Category.NODE)
