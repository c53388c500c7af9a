"""The option that ``bulkhead.max`` makes."""

from weakref import WeakSet

from longrun.bulkhead.admission import Admission, wake
from longrun.bulkhead.settings import Settings
from longrun.bulkhead.slots import Slots, Statistics
from longrun.errors import PipelineError
from longrun.option import Layer, Site
from longrun.shared import shared
from longrun.waiter import Waiter


class BulkheadOption(Layer):
    """A concurrency limit. Without a name each pipeline that holds the option has a limit of its own."""

    __slots__ = ("_built", "name", "owned", "settings")

    def __init__(self, settings: Settings, name: str | None = None) -> None:
        if name is not None and (not isinstance(name, str) or not name):
            raise PipelineError(
                f"bulkhead.max name is {name!r}; give a short text, for example the upstream that it protects, or None"
            )
        self.settings = settings
        self.name = name
        self.owned = name is None
        self._built: WeakSet[Slots[Waiter]] = WeakSet()

    def build(self, site: Site) -> Admission:
        slots: Slots[Waiter]
        if self.name is None:
            slots = Slots(self.settings)
            self._built.add(slots)
        else:
            slots = self._shared(self.name)
        return Admission(slots, self.name, site, self.describe())

    def statistics(self) -> Statistics:
        """The counts of this instant, by value. PipelineError for an unnamed option in no pipeline, or in several."""
        return self._slots().statistics()

    def resize(self, limit: int) -> None:
        """Let *limit* calls run from now on; those above it run to their end. From any thread.

        The settings stay what they are: options that name this bulkhead go on being written with the first limit.
        """
        slots = self._slots()
        for waiter in slots.resize(limit):
            wake(slots, waiter)

    def _slots(self) -> Slots[Waiter]:
        if self.name is not None:
            return self._shared(self.name)
        built = list(self._built)
        if len(built) != 1:
            raise PipelineError(
                f"{self.describe()} is in {len(built)} pipelines, each with its own count; "
                "give it a name, or one option to each pipeline"
            )
        return built[0]

    def _shared(self, name: str) -> Slots[Waiter]:
        return shared("bulkhead", name, self.settings, lambda: Slots[Waiter](self.settings))

    def describe(self) -> str:
        named = "" if self.name is None else f" {self.name!r}"
        return f"bulkhead{named}: at most {self.settings.limit} running, {self.settings.queue} queued"
