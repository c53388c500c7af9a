"""Baselines: defaults, and what is refused at construction."""

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from longrun import Baseline, Category, Failure, InfraClassifier, Policy
from longrun.backoff import constant, exponential, jitter_of

rng = Random(3)


def test_the_defaults_keep_a_worker_alive() -> None:
    """Every category but PERMANENT is retried without limit, on the published curves, spread by jitter."""
    baseline = Baseline()

    for category, initial, cap in (
        (Category.NODE, 2, 120), (Category.SERVICE, 5, 300), (Category.UNKNOWN, 30, 300),
    ):  # fmt: skip
        policy = baseline.policy(category)
        assert policy is not None
        assert policy.retries is None
        assert policy.backoff(0, 0.0, rng) == pytest.approx(initial, rel=0.1)
        assert len({policy.backoff(20, 0.0, rng) for _ in range(20)}) == 20
        assert max(policy.backoff(20, 0.0, rng) for _ in range(20)) <= cap
    assert baseline.policy(Category.PERMANENT) is None


def test_the_default_curves_are_the_published_ones() -> None:
    """By name, with their jitter; and no hint makes a task wait longer than an hour."""
    baseline = Baseline()

    assert baseline.degraded is not None
    curves = [policy.backoff for policy in (baseline.node, baseline.service, baseline.degraded)]
    assert [str(curve) for curve in curves] == [
        "exponential 2 s x 2 up to 120 s", "exponential 5 s x 2 up to 300 s", "exponential 30 s x 2 up to 300 s",
    ]  # fmt: skip
    assert [jitter_of(curve) for curve in curves] == [0.1] * 3
    assert (baseline.hint_cap, baseline.classify) == (3600.0, None)
    assert isinstance(baseline.capabilities, InfraClassifier)


def test_a_baselines_own_capabilities_take_the_place_of_the_default() -> None:
    """Asked behind the classifier, before transport."""
    baseline = Baseline(capabilities=lambda error: Failure(Category.SERVICE, 4.0))

    assert baseline.failure(ConnectionError()) == Failure(Category.SERVICE, 4.0)
    assert baseline.policy(Category.SERVICE) is baseline.service


def test_the_cap_of_hints_is_kept_as_seconds() -> None:
    """A timedelta means its seconds."""
    assert Baseline(hint_cap=timedelta(minutes=2)).hint_cap == 120.0  # type: ignore[arg-type]  # taken all the same


def test_without_a_policy_for_the_degraded_unknown_is_permanent() -> None:
    """That is what preflights use."""
    assert Baseline(degraded=None).policy(Category.UNKNOWN) is None


def test_a_baseline_knows_what_an_error_is() -> None:
    """Its classifier is asked, then its capabilities, then transport."""
    baseline = Baseline(classify=lambda error: Failure(Category.NODE) if isinstance(error, KeyError) else None)

    assert baseline.failure(KeyError()) == Failure(Category.NODE)
    assert baseline.failure(ValueError()) == Failure(Category.UNKNOWN)


CURVE = constant(1)

NO_WAIT = "; give a Policy: without one its failures would be retried without a wait$"
NO_UNKNOWN = "; give a Policy, or None to make UNKNOWN permanent$"
NO_CALL = r"; give a callable \(exc\) -> Failure \| None$"
NO_CURVE = r"; give a curve such as backoff.exponential\(2, 120\)$"
WRONG: Any = {"curve": CURVE, "text": "me", "number": 3, "nothing": None}

BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: Baseline(node=WRONG["nothing"]), f"^Baseline.node is None{NO_WAIT}"),
    (lambda: Baseline(service=WRONG["nothing"]), f"^Baseline.service is None{NO_WAIT}"),
    (lambda: Baseline(node=WRONG["curve"]), f"^Baseline.node is Curve.*{NO_WAIT}"),
    (lambda: Baseline(degraded=WRONG["curve"]), f"^Baseline.degraded is Curve.*{NO_UNKNOWN}"),
    (lambda: Baseline(classify=WRONG["text"]), f"^Baseline.classify is 'me'{NO_CALL}"),
    (lambda: Baseline(capabilities=WRONG["number"]), f"^Baseline.capabilities is 3{NO_CALL}"),
    (lambda: Baseline(hint_cap=0), "^Baseline.hint_cap is 0;"),
    (lambda: Baseline(hint_cap=float("inf")), "^Baseline.hint_cap is inf;"),
    (lambda: Policy(WRONG["number"]), f"^Policy.backoff is 3{NO_CURVE}"),
    (lambda: Policy(WRONG["nothing"]), f"^Policy.backoff is None{NO_CURVE}"),
    *((lambda n=n: Policy(CURVE, n), f"^Policy.retries is {n};") for n in (0, -1, -5, True)),
]


@pytest.mark.parametrize(("make", "said"), BAD, ids=[said.split()[0].lstrip("^") for _make, said in BAD])
def test_a_half_configured_baseline_is_refused_at_construction(make: Callable[[], object], said: str) -> None:
    """Not in the middle of the night, with a worker retrying without a wait."""
    with pytest.raises(ValueError, match=said):
        make()


def test_a_policy_without_a_number_has_no_limit() -> None:
    """None is the one way to say so, here as in a rule."""
    assert Policy(exponential(1, 2)).retries is None
    assert Policy(exponential(1, 2), 4).retries == 4
