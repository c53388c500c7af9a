"""Throttle: refuse calls in proportion to how many of the latest ones the other side did not accept."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from longrun.clock import now
from longrun.errors import Shed
from longrun.option import Site
from longrun.shed.checks import above_one, count, share
from longrun.shed.layer import Shedding, refusal
from longrun.shed.odds import patience, throttled
from longrun.shed.pressure import On, Pressure
from longrun.shed.priorities import PRIORITIES, Priority, rank
from longrun.shed.window import Slot, Window

T = TypeVar("T")

#: Slots of the window. With the default of two minutes one slot is five seconds. Ours.
SLOTS = 24

#: Slots in which a call under way counts neither way: with the default, its first five to ten seconds. Ours.
GRACE = 2


@dataclass(frozen=True, slots=True)
class ThrottleSettings:
    """The settings of a throttle; equal settings may share a name."""

    k: float
    window: float
    max_rejection: float
    minimum: int
    on: On

    def __post_init__(self) -> None:
        above_one(self.k, "shed.throttle k")
        share(self.max_rejection, "shed.throttle max_rejection")
        count(self.minimum, "shed.throttle minimum")
        Pressure(self.on, "shed.throttle")


@dataclass(frozen=True, slots=True)
class ThrottleStatistics:
    """A moment of a throttle: *requests* and *accepts* that count now, and the odds of a refusal per priority."""

    requests: int
    accepts: int
    rejection: dict[Priority, float]


class ThrottleState:
    """What the calls through one throttle share, on whichever thread they run."""

    __slots__ = ("_minimum", "_most", "_patience", "pressure", "window")

    def __init__(self, settings: ThrottleSettings) -> None:
        self.window = Window(settings.window, SLOTS, GRACE)
        self._minimum = settings.minimum
        self._most = settings.max_rejection
        self._patience = patience(settings.k)
        self.pressure = Pressure(settings.on, "shed.throttle")

    def admit(self, at: float, rank: int, draw: Callable[[], float]) -> Slot | None:
        """A ticket for a call that may be sent, to be handed back to the window; None when it is refused."""
        window = self.window
        with window.lock:
            if not window.begins <= at < window.ends:
                window.turn(at)
            if window.bad:
                odds = self._odds(window.good, window.bad, self._patience[rank])
                if odds > 0 and draw() < odds:
                    window.refuse()
                    return None
            return window.begin()

    def statistics(self, at: float) -> ThrottleStatistics:
        with self.window.lock:
            self.window.turn(at)
            good, bad = self.window.good, self.window.bad
        odds: dict[Priority, float] = {
            name: self._odds(good, bad, k) for name, k in zip(PRIORITIES, self._patience, strict=True)
        }
        return ThrottleStatistics(good + bad, good, odds)

    def _odds(self, good: int, bad: int, k: float) -> float:
        requests = good + bad
        return throttled(requests, good, k, self._most) if requests >= self._minimum else 0.0


class Throttled:
    """The wrapper that ``shed.throttle`` makes for one pipeline."""

    __slots__ = ("_draw", "_site", "_state", "_window", "_words")

    def __init__(self, state: ThrottleState, site: Site, words: str) -> None:
        self._state = state
        self._window = state.window
        self._site = site
        self._draw = site.rng.random
        self._words = words

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        ticket = self._state.admit(now(), rank.get(), self._draw)
        if ticket is None:
            raise self._refusal()
        try:
            result = await call()
        except Exception as error:
            self._window.settle(ticket, not self._state.pressure(error))
            raise
        except BaseException:
            self._window.cancel(ticket)
            raise
        self._window.settle(ticket, True)
        return result

    def statistics(self) -> ThrottleStatistics:
        """How it stands now."""
        return self._state.statistics(now())

    def describe(self) -> str:
        return self._words

    def _refusal(self) -> Shed:
        level = rank.get()
        seen = self._state.statistics(now())
        share = seen.rejection[PRIORITIES[level]]
        reason = (
            f"the other side accepted {seen.accepts} of the latest {seen.requests} calls, "
            f"so {share:.0%} of those with {PRIORITIES[level]} priority are not sent"
        )
        return refusal(self._site, self._words, level, reason)


class Throttle(Shedding[ThrottleSettings, ThrottleState]):
    """The option that ``shed.throttle`` makes."""

    __slots__ = ()
    kind = "shed.throttle"

    def new(self) -> ThrottleState:
        return ThrottleState(self.settings)

    def build(self, site: Site) -> Throttled:
        return Throttled(self.state(), site, self.describe())

    def statistics(self) -> ThrottleStatistics:
        """How the throttle of this name stands now; PipelineError without a name."""
        return self.named_state().statistics(now())

    def describe(self) -> str:
        return f"{self.title()} with k={self.settings.k:g} over {self.settings.window:g} s"
