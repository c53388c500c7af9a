"""Line: the tokens, and who waits for them in order of arrival. It waits for nothing, wakes nobody, reads no clock."""

import math
from collections import OrderedDict
from dataclasses import dataclass
from threading import RLock
from typing import Generic, Literal, TypeVar

from longrun.ratelimit.gcra import ROUNDING
from longrun.ratelimit.settings import Settings
from longrun.waiter import Place

W = TypeVar("W", bound=Place)


@dataclass(frozen=True, slots=True)
class Statistics:
    """A rate limit by value: *tokens* calls could start now, *queued* wait for a token."""

    rate: float
    per: float
    burst: int
    tokens: int
    queued: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What joining came to: the token is *wait* seconds away, *before* others come first."""

    answer: Literal["admitted", "queued", "full", "late"]
    wait: float
    before: int


class Line(Generic[W]):
    """The calls of one rate limit, from any thread.

    A token is taken when a call starts, never ahead: whoever leaves the line has nothing to give back, and all behind
    move up by one token. Only the *head* of the line watches the clock; a waiter becomes the head when the one before
    it took its token or left, and must then be woken.
    """

    __slots__ = ("__weakref__", "_arrival", "_gcra", "_interval", "_lock", "_settings", "_slack", "_waiting")

    def __init__(self, settings: Settings) -> None:
        # Re-entrant: a call that is collected as garbage leaves the line wherever the collector happens to run, and
        # that may be in here, at any call that is made.
        self._lock = RLock()
        self._settings = settings
        self._gcra = settings.gcra()
        self._interval = self._gcra.interval
        self._slack = self._gcra.tolerance + ROUNDING
        self._arrival = -math.inf
        self._waiting: OrderedDict[W, None] = OrderedDict()

    def take(self, now: float) -> bool:
        """Take a token if there is one and nobody waits for it."""
        with self._lock:
            # The arithmetic of Gcra.wait and Gcra.take once more, without the calls: nearly all calls end here.
            arrival = self._arrival
            if arrival - now > self._slack or self._waiting:
                return False
            self._arrival = (arrival if arrival > now else now) + self._interval  # noqa: FURB136 - max() costs more
            return True

    def join(self, waiter: W, now: float, left: float) -> Turn:
        """Take a token that is there, or the last place of the line; or neither, when the token comes too late.

        *left* is how many seconds *waiter* can wait. With nobody *before* it, it is the head at once.
        """
        with self._lock:
            before = len(self._waiting)
            self._arrival = self._gcra.seen(self._arrival, now)
            wait = self._gcra.wait(self._arrival, now, before)
            if not before and not wait:
                self._arrival = self._gcra.take(self._arrival, now)
                waiter.phase = "admitted"
                return Turn("admitted", wait, before)
            if self._settings.queue is not None and before >= self._settings.queue:
                return Turn("full", wait, before)
            if wait >= left:
                return Turn("late", wait, before)
            self._waiting[waiter] = None
            return Turn("queued", wait, before)

    def claim(self, waiter: W, now: float) -> tuple[float, W | None]:
        """Seconds until the token of *waiter*, the head. At 0.0 it has taken it; the next head must be woken."""
        with self._lock:
            self._arrival = self._gcra.seen(self._arrival, now)
            wait = self._gcra.wait(self._arrival, now)
            if wait:
                return wait, None
            self._arrival = self._gcra.take(self._arrival, now)
            waiter.phase = "admitted"
            self._waiting.pop(waiter)
            return 0.0, next(iter(self._waiting), None)

    def withdraw(self, waiter: W) -> W | None:
        """*waiter* leaves the line. If it was the head, the returned one is, and must be woken."""
        with self._lock:
            phase, waiter.phase = waiter.phase, "left"
            if phase != "waiting":
                return None
            head = next(iter(self._waiting), None)
            self._waiting.pop(waiter, None)
            return next(iter(self._waiting), None) if head is waiter else None

    def statistics(self, now: float) -> Statistics:
        """The counts at *now*."""
        with self._lock:
            queued = len(self._waiting)
            tokens = 0 if queued else self._gcra.tokens(self._arrival, now)
            return Statistics(self._settings.rate, self._settings.per, self._settings.burst, tokens, queued)

    def __repr__(self) -> str:
        return f"<Line {self._settings}: {len(self._waiting)} queued>"
