"""Flight: one attempt of one unit, from the slot it is given to the moment it lands."""

import math
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Literal, TypeAlias

from anyio import CancelScope

from longrun.task.run import Run
from longrun.task.unit import Unit

if TYPE_CHECKING:
    from longrun.critic.critic import Critic
    from longrun.critic.watch import Watch

#: Who ended it: its own time limit, a critic or an operator, the stop of the runner or the removal of its task.
Ended: TypeAlias = Literal["timeout", "killed", "stopped"]

#: Seconds that a cancelled attempt has to clean up before it is called stuck and its slot is given to others.
GRACE = 5.0


class Flight:
    """Mutable; touched by its runner only. Instants are on the event loop's clock."""

    __slots__ = (
        "consult", "coroutine", "ended", "ended_at", "handle", "limit", "reason", "run", "scope", "started", "stuck",
        "unit", "watch", "well_until",
    )  # fmt: skip

    def __init__(self, unit: Unit, run: Run, now: float) -> None:
        self.unit = unit
        self.run = run
        self.scope: CancelScope | None = None
        self.coroutine: Awaitable[object] | None = None
        self.consult: CancelScope | None = None
        self.ended: Ended | None = None
        self.ended_at = math.inf
        self.reason = ""
        self.handle: object = None
        self.stuck = False
        self.started = now
        self.limit = math.inf
        #: Before this instant nothing can be wrong with it.
        self.well_until = math.inf
        #: Made by :meth:`watched`: most attempts have ended before there is anything to watch.
        self.watch: Watch | None = None

    def begin(self, now: float) -> float:
        """The attempt really begins: limits count from here, not from when it was given its slot.

        Returns its deadline.
        """
        terms = self.unit.task.terms
        self.started = now
        if terms.timeout is not None:
            self.limit = now + terms.timeout
        self.well_until = now + terms.patience
        return now + terms.longest

    def watched(self) -> "Watch | None":
        """Its watch, from now on; None when nobody watches it."""
        stall = self.unit.task.terms.stall
        if self.watch is None and stall is not None:
            self.watch = stall.watch(self.started)
        return self.watch

    @property
    def critic(self) -> "Critic | None":
        """Who watches it."""
        return self.unit.task.terms.stall

    @property
    def deadline(self) -> float:
        """When it is ended, if nothing moves that before."""
        if self.watch is None:
            return self.started + self.unit.task.terms.longest
        return min(self.limit, self.watch.deadline)

    def late(self, now: float) -> bool:
        """Whether it has outlived what it is expected to take: its critic's word, else its interval."""
        terms = self.unit.task.terms
        expected = terms.interval if terms.stall is None else terms.stall.expected
        return expected is not None and now - self.started > expected

    def end(self, how: Ended, reason: str, now: float) -> bool:
        """Cancel it, or see to it that it is cancelled as soon as it begins. The first one to end it stays."""
        if self.ended is not None:
            return False
        self.ended, self.reason, self.ended_at = how, reason, now
        if self.scope is not None:
            self.scope.cancel()
        return True

    def shift(self, seconds: float) -> None:
        """The event loop was blocked for so long: nothing could go on meanwhile, so nothing is held against it."""
        if self.run.last_progress is not None and self.well_until < math.inf:
            self.watched()  # which knows how much of the time since then was none; it has begun, so it can be made
        self.started += seconds
        self.limit += seconds
        self.well_until += seconds
        if self.watch is not None:
            self.watch.shift(seconds)
