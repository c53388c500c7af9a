"""Fleet: a design with its units, ready to be measured."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from anyio.abc import TaskGroup

from benchmarks.scheduler.load import Load
from benchmarks.scheduler.recorder import Recorder


class Fleet(Protocol):
    """Made with what is there before its units: tenants, schedulers that are empty yet, telemetry."""

    async def arm(self) -> None:
        """Create every unit and set it going; what follows by itself need not be awaited."""
        ...

    def dues(self) -> Sequence[float] | None:
        """An instant of the grid of each unit, on the clock of the recorder; None when nobody can tell."""
        ...

    async def stop(self) -> None:
        """End every unit."""
        ...


#: Units are created by ``arm``; the task group is there for whatever the design runs meanwhile.
Make: TypeAlias = Callable[[Load, Recorder, TaskGroup], Fleet]
