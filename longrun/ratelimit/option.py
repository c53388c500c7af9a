"""The option that ``ratelimit.wait`` makes."""

from weakref import WeakSet

from longrun.clock import now
from longrun.errors import PipelineError
from longrun.option import Layer, Site
from longrun.ratelimit.admission import Admission
from longrun.ratelimit.line import Line, Statistics
from longrun.ratelimit.settings import Settings
from longrun.shared import shared
from longrun.waiter import Waiter


class RateLimitOption(Layer):
    """A rate limit. Without a name each pipeline that holds the option has a limit of its own."""

    __slots__ = ("_built", "name", "owned", "settings")

    def __init__(self, settings: Settings, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise PipelineError(
                f"ratelimit.wait name is {name!r}; give a short text, for example the upstream that it spares, or None"
            )
        self.settings = settings
        self.name = name
        self.owned = name is None
        self._built: WeakSet[Line[Waiter]] = WeakSet()

    def build(self, site: Site) -> Admission:
        line: Line[Waiter]
        if self.name is None:
            line = Line(self.settings)
            self._built.add(line)
        else:
            line = self._shared(self.name)
        return Admission(line, self.name, site, self.describe())

    def statistics(self) -> Statistics:
        """The counts of this instant, by value. PipelineError for an unnamed option in no pipeline, or in several."""
        if self.name is not None:
            return self._shared(self.name).statistics(now())
        built = list(self._built)
        if len(built) != 1:
            raise PipelineError(
                f"{self.describe()} is in {len(built)} pipelines, each with its own tokens; "
                "give it a name, or one option to each pipeline"
            )
        return built[0].statistics(now())

    def _shared(self, name: str) -> Line[Waiter]:
        return shared("rate limit", name, self.settings, lambda: Line[Waiter](self.settings))

    def describe(self) -> str:
        named = "" if self.name is None else f" {self.name!r}"
        told = self.settings
        queue = "" if told.queue is None else f", {told.queue} queued"
        return f"rate limit{named}: {told.rate:g} per {told.per:g} s, {told.burst} at once{queue}"
