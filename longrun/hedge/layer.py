"""The option ``hedge.after``, and what wraps the calls of a pipeline."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

from longrun.clock import now
from longrun.hedge.latency import Latencies
from longrun.hedge.race import Race
from longrun.hedge.settings import Settings
from longrun.option import Layer, Site, Wrapper
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

    def build(self, site: Site) -> Wrapper:
        quantile = self.settings.quantile
        latencies = self.latencies
        if latencies is None and quantile is not None:
            latencies = Latencies(quantile)
        return cast("Wrapper", Hedge(self.settings, site, latencies))  # pyright wants an async function

    def describe(self) -> str:
        return str(self.settings)


class Hedge:
    """Races copies of each call; safe for concurrent calls."""

    __slots__ = ("_latencies", "_settings", "_site")

    def __init__(self, settings: Settings, site: Site, latencies: Latencies | None) -> None:
        self._settings = settings
        self._site = site
        self._latencies = latencies

    def __call__(self, call: Callable[[], Awaitable[T]], /) -> Coroutine[Any, Any, T]:
        # Not an async function: it would cost each call a frame of its own and do nothing more.
        settings = self._settings
        if settings.delay is not None:
            return Race(call, settings.delay, settings, self._site).run()
        assert self._latencies is not None
        return self._by_quantile(call, self._latencies)

    async def _by_quantile(self, call: Callable[[], Awaitable[T]], latencies: Latencies) -> T:
        delay = latencies.value()
        if delay is None:
            started = now()
            answer = await call()
            latencies.record(now() - started)
            return answer
        race = Race(call, delay, self._settings, self._site)
        answer = await race.run()
        if race.latency is not None:
            latencies.record(race.latency)
        return answer

    def describe(self) -> str:
        return str(self._settings)
