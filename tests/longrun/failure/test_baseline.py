"""Baselines: defaults, and what is refused at construction."""

from collections.abc import Callable
from random import Random

import pytest

from longrun import Baseline, Category, Failure, Policy
from longrun.backoff import constant, exponential

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


def test_without_a_policy_for_the_degraded_unknown_is_permanent() -> None:
    """That is what preflights use."""
    assert Baseline(degraded=None).policy(Category.UNKNOWN) is None


def test_a_baseline_knows_what_an_error_is() -> None:
    """Its classifier is asked, then its capabilities, then transport."""
    baseline = Baseline(classify=lambda error: Failure(Category.NODE) if isinstance(error, KeyError) else None)

    assert baseline.failure(KeyError()) == Failure(Category.NODE)
    assert baseline.failure(ValueError()) == Failure(Category.UNKNOWN)


CURVE = constant(1)

BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: Baseline(node=None), "Baseline.node is None"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Baseline(service=None), "Baseline.service is None"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Baseline(node=CURVE), "Baseline.node is "),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Baseline(degraded=CURVE), "Baseline.degraded is "),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Baseline(classify="me"), "Baseline.classify is 'me'"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Baseline(capabilities=3), "Baseline.capabilities is 3"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Baseline(hint_cap=0), "Baseline.hint_cap is 0"),
    (lambda: Baseline(hint_cap=float("inf")), "Baseline.hint_cap is inf"),
    (lambda: Policy(5), "Policy.backoff is 5"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Policy(None), "Policy.backoff is None"),  # type: ignore[arg-type]  # wrong on purpose
    *((lambda n=n: Policy(CURVE, n), f"Policy.retries is {n}") for n in (0, -1, -5, True)),
]


@pytest.mark.parametrize(("make", "said"), BAD, ids=[said for _make, said in BAD])
def test_a_half_configured_baseline_is_refused_at_construction(make: Callable[[], object], said: str) -> None:
    """Not in the middle of the night, with a worker retrying without a wait."""
    with pytest.raises(ValueError, match=said):
        make()


def test_a_policy_without_a_number_has_no_limit() -> None:
    """None is the one way to say so, here as in a rule."""
    assert Policy(exponential(1, 2)).retries is None
    assert Policy(exponential(1, 2), 4).retries == 4
