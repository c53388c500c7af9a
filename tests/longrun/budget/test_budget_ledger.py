"""The ledger by itself: windows to the instant, totals for ever, and room for any number of calls."""

import tracemalloc

import pytest

from longrun.budget.ledger import Ledger
from longrun.budget.settings import BudgetSettings


def ledger(ratio: float, floor: float, *, calls: int = 0, at: float = 0.0) -> Ledger:
    """A ledger with so many calls at one instant."""
    made = Ledger(BudgetSettings(ratio, floor))
    for _ in range(calls):
        made.called(at)
    return made


def test_calls_leave_the_window_as_often_as_they_came() -> None:
    """A hundred in one instant, one after them: all of it is gone ten seconds later, and the total stays."""
    one = ledger(0.1, 1.0, calls=100)
    one.called(3.0)
    full = one.balance(3.0)

    late = one.balance(20.0)

    assert (full, late) == (11, 1)
    assert one.ceiling == 1.0
    assert one.calls == 101


@pytest.mark.parametrize("at", [0.0, 0.2, 0.4, 0.49])
@pytest.mark.parametrize(("now", "balance"), [(9.0, 10), (9.99, 10), (10.0, 0), (10.4, 0)])
def test_a_call_counts_for_nine_and_a_half_to_ten_seconds(at: float, now: float, balance: int) -> None:
    """Slot by slot of half a second; never later than it should go."""
    assert ledger(0.1, 0.0, calls=100, at=at).balance(now) == balance


def test_an_extra_attempt_counts_for_ten_seconds_and_not_an_instant_longer() -> None:
    """The window is open at its old end."""
    one = ledger(0.1, 0.0, calls=10)
    first = one.spend(0.0)
    for _ in range(10):
        one.called(9.5)

    before, exact = one.balance(9.9), one.balance(10.0)

    assert first
    assert (before, exact) == (1, 1)  # two allowed and one made; one allowed and none made
    assert [one.spend(10.0), one.spend(10.0)] == [True, False]


def test_without_a_floor_and_without_calls_nothing_is_extra() -> None:
    """A refusal, counted as one."""
    one = ledger(0.1, 0.0)

    assert (one.spend(0.0), one.balance(0.0)) == (False, 0)
    assert (one.spent, one.refused) == (0, 1)


def test_a_clock_that_starts_anew_forgets_the_window_and_keeps_the_totals() -> None:
    """Calls and extra attempts of another clock are no claim on this one; totals add up over any number of clocks."""
    one = ledger(1.0, 1.0, calls=3, at=100.0)
    spent = [one.spend(100.0) for _ in range(5)]
    seen = []

    for _ in range(3):
        one.called(50.0)
        one.called(50.0)
        seen.append((one.balance(50.0), one.balance(5.0), one.ceiling, one.calls))

    assert spent == [True] * 4 + [False]
    assert seen == [(3, 1, 1.0, 5), (3, 1, 1.0, 7), (3, 1, 1.0, 9)]


def test_any_number_of_calls_takes_no_more_room_than_one_for_each_half_second() -> None:
    """Ten thousand in a few instants are a few numbers."""
    one = ledger(0.1, 1.0, calls=1)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()

    for index in range(10_000):
        one.called(0.25 + 0.1 * (index // 5000))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert after - before < 10_000
    assert one.calls == 10_001


def test_a_refund_strikes_the_oldest_out_and_is_counted_even_when_nothing_is_left() -> None:
    """What was not made is not held against anyone."""
    one = ledger(0.0, 2.0)
    one.spend(0.0)
    one.spend(0.5)

    full = one.balance(0.5)
    one.refund(0.5)
    back = one.balance(0.5)
    one.refund(0.5)
    one.refund(0.5)

    assert (full, back, one.balance(0.5)) == (0, 1, 2)
    assert (one.spent, one.refunded) == (2, 3)


@pytest.mark.parametrize(
    ("floor", "allowed"),
    [(1.0, [True, False, False, True, False]), (2.0, [True, True, False, True, True]),
     (0.5, [True, False, False, False, False]), (1.5, [True, True, False, False, False])],
)  # fmt: skip
def test_a_floor_is_so_many_in_a_second_and_a_fraction_the_next_number_in_longer(
    floor: float, allowed: list[bool]
) -> None:
    """1.5 is two in four thirds of a second. Asked at 0, 0.1, 0.2, 1.1 and 1.2 s, behind calls that allow nothing."""
    one = ledger(0.0, floor)
    for _ in range(20):
        one.spend(-5.0)  # what the ceiling gives is spent, what the floor gives is over

    found = [one.spend(now) for now in (0.0, 0.1, 0.2, 1.1, 1.2)]

    assert found == allowed


def test_what_is_left_of_the_floor_is_counted_one_by_one() -> None:
    """Three in a second, whatever the ceiling says: it has long been spent."""
    one = ledger(0.0, 3.0)
    for _ in range(3):
        one.spend(-5.0)
    seen = []

    for _ in range(4):
        seen.append(one.balance(0.0))
        one.spend(0.0)

    assert seen == [3, 2, 1, 0]
    assert (one.spent, one.refused) == (6, 1)
