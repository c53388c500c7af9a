"""On latency: refuse calls, the more the more of the latest ones were slow."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from longrun.clock import now
from longrun.errors import PipelineError, Shed
from longrun.option import Site
from longrun.shed.checks import count, share
from longrun.shed.layer import Shedding, refusal
from longrun.shed.odds import slowed, tolerances
from longrun.shed.priorities import PRIORITIES, Priority, rank
from longrun.shed.window import Slot, Window

T = TypeVar("T")

#: Slots of the window: with the default of ten seconds one slot is half a second. Ours.
SLOTS = 20


@dataclass(frozen=True, slots=True)
class LatencySettings:
    """The settings of a latency limit; equal settings may share a name."""

    limit: float
    window: float
    quantile: float
    minimum: int
    max_rejection: float

    def __post_init__(self) -> None:
        share(self.quantile, "shed.on_latency quantile")
        share(self.max_rejection, "shed.on_latency max_rejection")
        count(self.minimum, "shed.on_latency minimum")
        if self.window <= self.limit:
            raise PipelineError(
                f"shed.on_latency window is {self.window:g} s and its limit {self.limit:g} s: a slow call would be "
                "forgotten before it is known to be slow; give a window of several limits"
            )


@dataclass(frozen=True, slots=True)
class LatencyStatistics:
    """A moment of a latency limit: the *calls* that count now, how many were *slow*, and the odds per priority."""

    calls: int
    slow: int
    rejection: dict[Priority, float]


class LatencyState:
    """What the calls through one latency limit share, on whichever thread they run."""

    __slots__ = ("_minimum", "_most", "_tolerances", "limit", "window")

    def __init__(self, settings: LatencySettings) -> None:
        # A call counts as slow as soon as every call of its slot has been under way for longer than the limit.
        grace = math.ceil(settings.limit * SLOTS / settings.window) + 1
        self.window = Window(settings.window, SLOTS, grace)
        self._minimum = settings.minimum
        self._most = settings.max_rejection
        self._tolerances = tolerances(settings.quantile)
        self.limit = settings.limit

    def admit(self, at: float, rank: int, draw: Callable[[], float]) -> Slot | None:
        """A ticket for a call that may be sent, to be handed back to the window; None when it is refused."""
        window = self.window
        with window.lock:
            if not window.begins <= at < window.ends:
                window.turn(at)
            if window.bad:
                odds = self._odds(window.good, window.bad, self._tolerances[rank])
                if odds > 0 and draw() < odds:
                    return None
            return window.begin()

    def statistics(self, at: float) -> LatencyStatistics:
        with self.window.lock:
            self.window.turn(at)
            fast, slow = self.window.good, self.window.bad
        odds: dict[Priority, float] = {
            name: self._odds(fast, slow, share) for name, share in zip(PRIORITIES, self._tolerances, strict=True)
        }
        return LatencyStatistics(fast + slow, slow, odds)

    def _odds(self, fast: int, slow: int, tolerance: float) -> float:
        calls = fast + slow
        return slowed(calls, fast, tolerance, self._most) if calls >= self._minimum else 0.0


class LatencyLimited:
    """The wrapper that ``shed.on_latency`` makes for one pipeline."""

    __slots__ = ("_draw", "_limit", "_site", "_state", "_window", "_words")

    def __init__(self, state: LatencyState, site: Site, words: str) -> None:
        self._state = state
        self._window = state.window
        self._limit = state.limit
        self._site = site
        self._draw = site.rng.random
        self._words = words

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        started = now()
        ticket = self._state.admit(started, rank.get(), self._draw)
        if ticket is None:
            raise self._refusal()
        try:
            result = await call()
        except Exception:
            if now() - started > self._limit:
                self._window.settle(ticket, False)
            else:
                self._window.cancel(ticket)
            raise
        except BaseException:
            self._window.cancel(ticket)
            raise
        self._window.settle(ticket, now() - started <= self._limit)
        return result

    def statistics(self) -> LatencyStatistics:
        """How it stands now."""
        return self._state.statistics(now())

    def describe(self) -> str:
        return self._words

    def _refusal(self) -> Shed:
        level = rank.get()
        seen = self._state.statistics(now())
        share = seen.rejection[PRIORITIES[level]]
        reason = (
            f"{seen.slow} of the latest {seen.calls} calls took longer than {self._limit:g} s, "
            f"so {share:.0%} of those with {PRIORITIES[level]} priority are not sent"
        )
        return refusal(self._site, self._words, level, reason)


class OnLatency(Shedding[LatencySettings, LatencyState]):
    """The option that ``shed.on_latency`` makes."""

    __slots__ = ()
    kind = "shed.on_latency"

    def new(self) -> LatencyState:
        return LatencyState(self.settings)

    def build(self, site: Site) -> LatencyLimited:
        return LatencyLimited(self.state(), site, self.describe())

    def statistics(self) -> LatencyStatistics:
        """How the limit of this name stands now; PipelineError without a name."""
        return self.named_state().statistics(now())

    def describe(self) -> str:
        return f"{self.title()} above {self.settings.limit:g} s at p{self.settings.quantile * 100:g}"
