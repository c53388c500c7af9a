"""Adaptive: a concurrency limit that learns what the other side can take."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from longrun.clock import now
from longrun.errors import PipelineError
from longrun.events import emit
from longrun.option import Site
from longrun.shed.checks import count
from longrun.shed.events import LimitChanged
from longrun.shed.gradient import Bounds
from longrun.shed.layer import Shedding, refusal
from longrun.shed.limiter import AdaptiveStatistics, Change, Limiter
from longrun.shed.pressure import On, Pressure
from longrun.shed.priorities import PRIORITIES, rank

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """The settings of an adaptive limit; equal settings may share a name."""

    initial: int
    low: int
    high: int
    on: On

    def __post_init__(self) -> None:
        count(self.low, "shed.adaptive low")
        count(self.high, "shed.adaptive high")
        count(self.initial, "shed.adaptive initial")
        if not self.low <= self.initial <= self.high:
            raise PipelineError(
                f"shed.adaptive initial is {self.initial}, low {self.low} and high {self.high}; "
                "give low <= initial <= high"
            )
        Pressure(self.on, "shed.adaptive")


class AdaptiveState:
    """What the calls through one adaptive limit share, on whichever thread they run."""

    __slots__ = ("limiter", "pressure")

    def __init__(self, settings: AdaptiveSettings) -> None:
        self.limiter = Limiter(settings.initial, Bounds(settings.low, settings.high))
        self.pressure = Pressure(settings.on, "shed.adaptive")


class Adapted:
    """The wrapper that ``shed.adaptive`` makes for one pipeline."""

    __slots__ = ("_draw", "_limiter", "_pressure", "_site", "_words")

    def __init__(self, state: AdaptiveState, site: Site, words: str) -> None:
        self._limiter = state.limiter
        self._pressure = state.pressure
        self._site = site
        self._draw = site.rng.random
        self._words = words

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        limiter = self._limiter
        began = now()
        ticket = limiter.admit(began, rank.get())
        if not ticket:
            raise self._refusal()
        try:
            result = await call()
        except Exception as error:
            if self._pressure(error):
                self._tell(limiter.drop(began, now(), ticket, self._draw))
            else:
                limiter.release(began, ticket)
            raise
        except BaseException:
            limiter.release(began, ticket)
            raise
        change = limiter.finish(began, now(), ticket, self._draw)
        if change is not None:
            self._tell(change)
        return result

    def statistics(self) -> AdaptiveStatistics:
        """How it stands now."""
        return self._limiter.statistics()

    def describe(self) -> str:
        return self._words

    def _refusal(self) -> Exception:
        level = rank.get()
        seen = self._limiter.statistics()
        probing = ", lowered for a moment to measure the latency without queueing" if seen.probing else ""
        reason = (
            f"{seen.in_flight} calls are running, and with {PRIORITIES[level]} priority one more may only join "
            f"fewer than {seen.room[level]} (limit {seen.limit}{probing})"
        )
        return refusal(self._site, self._words, level, reason)

    def _tell(self, change: Change | None) -> None:
        if change is not None and self._site.listeners:
            event = LimitChanged(self._site.name, self._words, change.old, change.new, change.latency, change.baseline)
            emit(self._site.listeners, event)


class Adaptive(Shedding[AdaptiveSettings, AdaptiveState]):
    """The option that ``shed.adaptive`` makes."""

    __slots__ = ()
    kind = "shed.adaptive"

    def new(self) -> AdaptiveState:
        return AdaptiveState(self.settings)

    def build(self, site: Site) -> Adapted:
        return Adapted(self.state(), site, self.describe())

    def statistics(self) -> AdaptiveStatistics:
        """How the limit of this name stands now; PipelineError without a name."""
        return self.named_state().limiter.statistics()

    def describe(self) -> str:
        return f"{self.title()} from {self.settings.initial} within {self.settings.low}..{self.settings.high}"
