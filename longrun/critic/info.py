"""RunInfo: what an escalator is told about the run that it decides on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A stalled run as it stands, by value. All durations are seconds of this attempt; waits between attempts and time
    in which the event loop was blocked do not count.

    *idle_for*: since the last ``run.progress()``, or since the start. *left*: until the deadline. *note*: what the last
    progress said. *nudges* and *extensions*: what this attempt has had so far. ValueError for an empty *id*: escalators
    remember runs by it.
    """

    id: str
    task: str
    attempt: int
    elapsed: float
    expected: float
    idle_for: float
    left: float
    note: str | None = None
    nudges: int = 0
    extensions: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ValueError(f"RunInfo.id is {self.id!r}; give the run's own id, no two runs may share one")
