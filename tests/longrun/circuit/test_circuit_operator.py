"""Orders of an operator to the machine itself: what is counted, what is let in, and what is told."""

from typing import Any

import pytest

from longrun import circuit
from longrun.circuit.circuit import Circuit
from longrun.circuit.states import State, Step
from longrun.circuit.values import Answer, Change


def made(**keywords: Any) -> Circuit:
    """A circuit of these settings at time 0."""
    return Circuit("upstream", circuit.breaker("upstream", **keywords).settings, 0.0, key="k")


ORDERS: list[tuple[Step, State]] = [
    ("force_open", "forced_open"), ("disable", "disabled"), ("metrics_only", "metrics_only"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "state"), ORDERS)
def test_an_order_is_a_transition_that_says_who_gave_it(step: Step, state: State) -> None:
    """With the key, the reason, and no wait: nothing will open it again but another order."""
    one = made()

    change = one.order(step, 5.0)

    assert change == Change("closed", state, f"{step} by an operator", "k", None)
    assert (one.state, one.reason) == (state, f"{step} by an operator")
    assert one.statistics(7.5).seconds == 2.5


@pytest.mark.parametrize(("step", "state"), ORDERS)
def test_an_order_that_changes_nothing_is_no_transition(step: Step, state: State) -> None:
    """Told once."""
    one = made()
    one.order(step, 5.0)

    assert one.order(step, 6.0) is None
    assert one.state == state


def test_a_call_that_asks_while_forced_open_is_refused_without_an_instant_to_come_again() -> None:
    """Only the operator knows."""
    one = made()
    one.order("force_open", 0.0)

    assert one.free == 0
    assert [one.admit(now) for now in (0.0, 1e6)] == [Answer(0), Answer(0)]
    assert one.statistics(1e6).rejected == 2


@pytest.mark.parametrize("step", ["disable", "metrics_only", "reset"])
def test_a_call_that_asks_just_when_the_circuit_is_set_free_is_let_in(step: Step) -> None:
    """It saw a circuit that was open, and asks one that no longer is."""
    one = made()
    one.order("force_open", 0.0)
    one.order(step, 1.0)

    assert one.free == one.generation
    assert one.admit(2.0) == Answer(one.generation)
    assert one.statistics(2.0).rejected == 0


def test_in_metrics_only_calls_are_counted_and_never_trip() -> None:
    """Failures and slow calls, each at its time: what has left the window is gone."""
    one = made(minimum=2, window=30, slow_call=1)
    one.order("metrics_only", 0.0)
    for now, failed, slow in ((1.0, True, False), (2.0, True, True), (3.0, False, True), (29.0, False, False)):
        assert one.report(one.free, now, failed, slow) is None

    early, late = one.statistics(29.0), one.statistics(31.0)

    assert (early.state, early.calls, early.failures, early.slow) == ("metrics_only", 4, 2, 2)
    assert (late.calls, late.failures, late.slow) == (2, 0, 1)


def test_a_disabled_circuit_counts_nothing() -> None:
    """As if it were not there."""
    one = made(threshold=1)
    one.order("disable", 0.0)

    assert one.report(one.free, 1.0, True, True) is None
    assert (one.state, one.statistics(1.0).calls, one.statistics(1.0).slow) == ("disabled", 0, 0)


def test_a_reset_closes_an_open_circuit_and_makes_its_next_open_time_the_first_again() -> None:
    """Two openings are forgotten."""
    one = made(threshold=1, open_for=10)
    one.report(one.free, 0.0, True, False)
    one.report(one.admit(10.0).generation, 10.0, True, False)
    before = one.statistics(10.0)

    change = one.order("reset", 11.0)
    again = one.report(one.free, 12.0, True, False)

    assert (before.openings, before.retry_after) == (2, 20.0)
    assert change == Change("open", "closed", "reset by an operator", "k", None)
    assert again == Change("closed", "open", "1 failures in a row", "k", 10.0)
    assert one.statistics(12.0).openings == 1
