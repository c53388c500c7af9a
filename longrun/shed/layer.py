"""What the three shedding options have in common: a state of a name or of a pipeline, and one way to refuse."""

from typing import ClassVar, Generic, TypeVar

from longrun.errors import PipelineError, Shed
from longrun.events import emit
from longrun.option import Layer, Site
from longrun.shared import shared
from longrun.shed.events import CallShed
from longrun.shed.priorities import PRIORITIES

Settings = TypeVar("Settings")
State = TypeVar("State")


class Shedding(Layer, Generic[Settings, State]):
    """A shedding option: with a name its state is shared by all options of that name, without one by its pipeline."""

    __slots__ = ("name", "owned", "settings")
    kind: ClassVar[str]

    def __init__(self, settings: Settings, name: str | None) -> None:
        self.settings = settings
        self.name = name
        self.owned = name is None

    def new(self) -> State:
        """A state that has seen nothing."""
        raise NotImplementedError

    def state(self) -> State:
        """The state for a pipeline; PipelineError when the name is known with other settings."""
        if self.name is None:
            return self.new()
        return shared(self.kind, self.name, self.settings, self.new)

    def named_state(self) -> State:
        """The state of the name."""
        if self.name is None:
            raise PipelineError(
                f"{self.kind} without a name has a state per pipeline; give it a name to see statistics"
            )
        return self.state()

    def title(self) -> str:
        """Kind and name."""
        return self.kind if self.name is None else f"{self.kind} {self.name!r}"


def refusal(site: Site, option: str, rank: int, reason: str) -> Shed:
    """The error that refuses a call at *site*, told to its listeners."""
    if site.listeners:
        emit(site.listeners, CallShed(site.name, option, PRIORITIES[rank], reason))
    return Shed(f"{site.name}: refused by {option}: {reason}")
