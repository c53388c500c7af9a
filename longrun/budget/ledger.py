"""Ledger: the arithmetic of a budget. Pure: every operation is given the time.

    An extra attempt at t is allowed when, with it,
        the extra attempts of (t - 10 s, t]  <=  ratio x calls of the last 9.5 to 10 s + floor
    or  the extra attempts of (t - 1 s, t]   <=  floor

Extra attempts are kept one by one, so both bounds hold for every window and not for aligned ones only; calls, of which
there may be any number, are counted in slots of half a second and expire slot by slot, never late. A floor that is no
whole number n is the next whole number in a proportionally longer time: 0.5 is one in 2 s.
"""

import math
from collections import deque

from longrun.budget.settings import WINDOW, BudgetSettings

_SLOTS_PER_SECOND = 2
_SLOTS = int(WINDOW * _SLOTS_PER_SECOND)
_ROUNDING = 1e-9


class Ledger:
    """Calls and extra attempts of the last seconds, and totals of all times.

    A time before the last one given is another clock (one test after another in virtual time): the window starts anew.
    """

    __slots__ = (
        "_burst", "_every", "_extra", "_floor", "_gone", "_latest", "_ratio", "_slots", "_window_calls",
        "refunded", "refused", "spent",
    )  # fmt: skip

    def __init__(self, settings: BudgetSettings) -> None:
        self._ratio = settings.ratio
        self._floor = settings.floor
        self._burst = math.ceil(settings.floor)
        self._every = self._burst / settings.floor if settings.floor else math.inf
        self._slots: deque[list[int]] = deque()  # [slot, calls], oldest first
        self._window_calls = 0
        self._gone = 0  # calls that have left the window
        self._extra: deque[float] = deque()  # instants, oldest first
        self._latest = -math.inf
        self.spent = 0
        self.refused = 0
        self.refunded = 0

    def called(self, now: float) -> None:
        """A call begins."""
        slot = int(now * _SLOTS_PER_SECOND)
        slots = self._slots
        if now >= self._latest and slots and slots[-1][0] == slot:
            slots[-1][1] += 1
            self._latest = now
        else:
            self._expire(now)
            self._slots.append([slot, 1])
        self._window_calls += 1

    def spend(self, now: float) -> bool:
        """Take one extra attempt, if there is one."""
        self._expire(now)
        if len(self._extra) + 1 > self.ceiling + _ROUNDING and not self._floor_is_free(now):
            self.refused += 1
            return False
        self._extra.append(now)
        self.spent += 1
        return True

    def refund(self, now: float) -> None:
        """Give one back that was not made.

        The oldest is struck out, whosever it was: the one to be given back may be younger, and then counts for longer
        than it had to, never for too short.
        """
        self._expire(now)
        self.refunded += 1
        if self._extra:
            self._extra.popleft()

    def balance(self, now: float) -> int:
        """How many extra attempts would be allowed at this instant."""
        self._expire(now)
        by_calls = math.floor(self.ceiling - len(self._extra) + _ROUNDING)
        return max(0, by_calls, self._left_of_floor(now))

    @property
    def calls(self) -> int:
        """All calls so far."""
        return self._gone + self._window_calls

    @property
    def ceiling(self) -> float:
        """What the calls in the window, and the floor, are worth together."""
        return self._ratio * self._window_calls + self._floor

    def _floor_is_free(self, now: float) -> bool:
        if len(self._extra) < self._burst:
            return True
        return self._burst > 0 and self._extra[-self._burst] <= now - self._every + _ROUNDING

    def _left_of_floor(self, now: float) -> int:
        since = now - self._every + _ROUNDING
        taken = 0
        for instant in reversed(self._extra):
            if instant <= since or taken == self._burst:
                break
            taken += 1
        return self._burst - taken

    def _expire(self, now: float) -> None:
        if now < self._latest:
            self._gone += self._window_calls
            self._window_calls = 0
            self._slots.clear()
            self._extra.clear()
        self._latest = now
        last = int(now * _SLOTS_PER_SECOND) - _SLOTS
        while self._slots and self._slots[0][0] <= last:
            calls = self._slots.popleft()[1]
            self._window_calls -= calls
            self._gone += calls
        while self._extra and self._extra[0] <= now - WINDOW:
            self._extra.popleft()
