"""What one run of a unit may ask of the framework."""

import logging
from typing import Any, Protocol


class Checkpoint(Protocol):
    """A state that outlives the run: any JSON value but None. Writing is throttled; what is pending is written when the
    attempt ends."""

    async def save(self, state: Any) -> object:  # noqa: ANN401 - any JSON value
        """Keep *state*, now or with the next write that the throttle lets through. Raises when the store fails."""
        ...

    async def load(self) -> Any:  # noqa: ANN401 - what was saved
        """The state; None only when there is none. Raises when the store fails or holds something else."""
        ...

    async def clear(self) -> None:
        """Forget the state."""
        ...


class Run(Protocol):
    """One run of one unit. Work receives it by taking a second argument (global work: a first one)."""

    @property
    def id(self) -> str:
        """Unique id of this run; the same over its attempts."""
        ...

    @property
    def attempt(self) -> int:
        """1 for the first attempt of the run, then 2, 3, ..."""
        ...

    @property
    def deadline(self) -> float:
        """When this attempt is ended, on the monotonic clock of the event loop; ``inf`` when nothing ends it."""
        ...

    @property
    def stopping(self) -> bool:
        """True once the service drains, and while the unit is paused: work that goes on for long finishes what it has
        and takes on nothing new."""
        ...

    @property
    def once(self) -> bool:
        """Whether each worker runs until it has succeeded once: work without an end does what is due, and returns."""
        ...

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger bound to phase, resource, tenant and run id."""
        ...

    @property
    def nudges(self) -> tuple[str, ...]:
        """What the critic had to say about this attempt so far, oldest first."""
        ...

    @property
    def checkpoint(self) -> Checkpoint:
        """Where the unit keeps how far it got; its next run, also after a restart, finds it there."""
        ...

    def progress(self, note: str | None = None) -> None:
        """Say that the work moves on: a run that is late but makes progress is not idle."""
        ...
