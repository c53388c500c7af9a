"""Budget: a ledger that any number of pipelines, event loops and threads share by name."""

from dataclasses import dataclass
from threading import Lock

from longrun.budget.ledger import Ledger
from longrun.budget.settings import BudgetSettings
from longrun.clock import now


@dataclass(frozen=True, slots=True)
class BudgetStatistics:
    """A budget at one instant. Totals since it was made, but *balance*: extra attempts that are allowed right now."""

    name: str
    calls: int
    spent: int
    refused: int
    refunded: int
    balance: int


class Budget:
    """What layers see as ``option.ExtraAttempts``. Its lock is held for an addition, never across an await."""

    __slots__ = ("_ledger", "_lock", "name", "settings")

    def __init__(self, name: str, settings: BudgetSettings) -> None:
        self.name = name
        self.settings = settings
        self._ledger = Ledger(settings)
        self._lock = Lock()

    # The clock is read under the lock: time then never runs backwards between threads.

    def called(self) -> None:
        """A call begins and earns its share of an extra attempt."""
        with self._lock:
            self._ledger.called(now())

    def spend(self) -> bool:
        """Take one extra attempt (a retry, a hedge); False when none is left."""
        with self._lock:
            return self._ledger.spend(now())

    def refund(self) -> None:
        """Give one back that was not made."""
        with self._lock:
            self._ledger.refund(now())

    def statistics(self) -> BudgetStatistics:
        """What happened so far, by value."""
        with self._lock:
            ledger = self._ledger
            balance = ledger.balance(now())
            return BudgetStatistics(self.name, ledger.calls, ledger.spent, ledger.refused, ledger.refunded, balance)

    def __str__(self) -> str:
        return f"{self.name!r} ({self.settings})"

    def __repr__(self) -> str:
        return f"<Budget {self.name}: {self.statistics().balance} left of {self.settings}>"
