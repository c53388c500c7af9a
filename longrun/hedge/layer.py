"""The option ``hedge.after``, and what wraps the calls of a pipeline."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from longrun.clock import now
from longrun.hedge.latency import Latencies
from longrun.hedge.race import Race
from longrun.hedge.settings import Settings
from longrun.option import Layer, Site
from longrun.shared import shared

T = TypeVar("T")


class After(Layer):
    """The option that ``hedge.after`` makes."""

    __slots__ = ("latencies", "name", "owned", "settings")
    spends = True

    def __init__(self, settings: Settings, name: str | None) -> None:
        self.settings = settings
        self.name = name
        self.owned = settings.quantile is not None and name is None
        quantile = settings.quantile
        self.latencies: Latencies | None = None
        if quantile is not None and name is not None:
            self.latencies = shared("hedge", name, quantile, lambda: Latencies(quantile))

    def build(self, site: Site) -> "Hedge":
        quantile = self.settings.quantile
        latencies = self.latencies
        if latencies is None and quantile is not None:
            latencies = Latencies(quantile)
        return Hedge(self.settings, site, latencies)

    def describe(self) -> str:
        return str(self.settings)


class Hedge:
    """Races copies of each call; safe for concurrent calls."""

    __slots__ = ("_latencies", "_settings", "_site")

    def __init__(self, settings: Settings, site: Site, latencies: Latencies | None) -> None:
        self._settings = settings
        self._site = site
        self._latencies = latencies

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        settings = self._settings
        latencies = self._latencies
        if latencies is None:
            assert settings.delay is not None
            return await Race(call, settings.delay, settings, self._site).run()
        delay = latencies.value()
        if delay is None:
            started = now()
            answer = await call()
            latencies.record(now() - started)
            return answer
        race = Race(call, delay, settings, self._site)
        answer = await race.run()
        if race.latency is not None:
            latencies.record(race.latency)
        return answer

    def describe(self) -> str:
        return str(self._settings)
