"""Laws of a budget: against a model that keeps every call and every extra attempt as a list."""

import math

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from longrun.budget.ledger import Ledger
from longrun.budget.settings import WINDOW, BudgetSettings


class BudgetMachine(RuleBasedStateMachine):
    """Calls, extra attempts, refunds and time in any order."""

    @initialize(
        ratio=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0, 2.0]), floor=st.sampled_from([0.0, 0.5, 1.0, 2.5, 10.0])
    )
    def start(self, ratio: float, floor: float) -> None:
        self.ratio, self.floor = ratio, floor
        self.ledger = Ledger(BudgetSettings(ratio, floor))
        self.now = 1000.0
        self.calls: list[float] = []
        self.extra: list[float] = []  # made, with what was refunded taken out
        self.pending: list[float] = []  # spent in this window and not begun yet
        self.counts = [0, 0, 0]

    @rule(eighths=st.integers(0, 40))
    def time_passes(self, eighths: int) -> None:
        self.now += eighths / 8
        self.extra += [at for at in self.pending if at <= self.now - WINDOW]
        self.pending = [at for at in self.pending if at > self.now - WINDOW]

    @rule(count=st.integers(1, 30))
    def calls_begin(self, count: int) -> None:
        for _ in range(count):
            self.ledger.called(self.now)
            self.calls.append(self.now)

    @rule(count=st.integers(1, 15))
    def extra_attempts_are_asked_for(self, count: int) -> None:
        for _ in range(count):
            expected = self.ledger.balance(self.now) > 0
            granted = self.ledger.spend(self.now)
            assert granted is expected, "the balance is what would be granted"
            if granted:
                self.pending.append(self.now)
                self.counts[0] += 1
                assert self.lawful(), "an extra attempt beyond both bounds was granted"
            else:
                self.counts[1] += 1
                assert not self.owed(), "an extra attempt within the bounds was refused"

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def a_wait_is_cancelled(self, data: st.DataObject) -> None:
        self.pending.remove(data.draw(st.sampled_from(self.pending)))
        before = self.ledger.balance(self.now)
        self.ledger.refund(self.now)
        self.counts[2] += 1
        assert self.ledger.balance(self.now) >= before

    @precondition(lambda self: self.pending)
    @rule()
    def a_wait_ends(self) -> None:
        self.extra.append(self.pending.pop())

    def made(self, seconds: float) -> int:
        return sum(at > self.now - seconds for at in self.extra + self.pending)

    def called(self, seconds: float) -> int:
        return sum(at > self.now - seconds for at in self.calls)

    def lawful(self) -> bool:
        by_calls = self.made(WINDOW) <= self.ratio * self.called(WINDOW) + self.floor + 1e-6
        burst = math.ceil(self.floor)
        by_floor = bool(burst) and self.made(burst / self.floor) <= burst
        return by_calls or by_floor

    def owed(self) -> bool:
        """Whether one more would be within the bounds for certain: young calls, and no refund that counts on."""
        if self.counts[2]:
            return False
        return self.made(WINDOW) + 1 <= self.ratio * self.called(WINDOW - 0.5) + self.floor - 1e-6

    @invariant()
    def balance_is_within_bounds(self) -> None:
        balance = self.ledger.balance(self.now)
        most = self.ratio * self.called(WINDOW) + math.ceil(self.floor)
        assert 0 <= balance <= most + 1e-6

    @invariant()
    def totals_add_up(self) -> None:
        assert [self.ledger.spent, self.ledger.refused, self.ledger.refunded] == self.counts
        assert self.ledger.calls == len(self.calls)


TestBudget = BudgetMachine.TestCase


def test_credits_expire() -> None:
    """Calls of more than ten seconds ago are worth nothing; those of nine still are."""
    ledger = Ledger(BudgetSettings(ratio=1.0, floor=0.0))
    for _ in range(5):
        ledger.called(100.0)

    assert ledger.balance(109.0) == 5
    assert ledger.balance(110.0) == 0


def test_the_floor_comes_back_a_second_later() -> None:
    """Exactly: two in each second, counted from each of them."""
    ledger = Ledger(BudgetSettings(ratio=0.0, floor=2.0))

    granted = [ledger.spend(now) for now in (0.0, 0.5, 0.9, 1.0, 1.4, 1.5, 1.6, 2.0)]

    assert granted == [True, True, False, True, False, True, False, True]


def test_half_an_attempt_per_second_is_one_in_two() -> None:
    """A floor below one is no zero."""
    ledger = Ledger(BudgetSettings(ratio=0.0, floor=0.5))

    assert [ledger.spend(now) for now in (0.0, 1.0, 1.9, 2.0, 3.0, 4.0)] == [True, False, False, True, False, True]


def test_a_clock_that_begins_anew_begins_a_new_window() -> None:
    """Tests in virtual time follow one another; nothing stays spent for ever."""
    ledger = Ledger(BudgetSettings(ratio=0.0, floor=1.0))
    assert ledger.spend(5000.0)

    assert ledger.spend(0.0)
    assert not ledger.spend(0.5)
    assert ledger.spend(1.0)


def test_a_refund_with_nothing_spent_adds_nothing() -> None:
    """The balance never passes its maximum."""
    ledger = Ledger(BudgetSettings(ratio=0.0, floor=3.0))

    ledger.refund(1.0)

    assert ledger.balance(1.0) == 3
