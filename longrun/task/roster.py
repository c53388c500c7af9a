"""Roster: the units of a runner by name - taken in, placed on the calendar, let go of."""

from collections.abc import Iterator
from random import Random

from longrun.engine import Engine
from longrun.errors import RunnerError
from longrun.failure.baseline import Baseline
from longrun.task.dispatcher import Dispatcher
from longrun.task.past import Past
from longrun.task.task import Task
from longrun.task.terms import Hook
from longrun.task.unit import Unit


class Roster:
    """*alive* counts those that may run again; *hooks* are the shutdown hooks of all that ever were, in order."""

    def __init__(self, dispatcher: Dispatcher, baseline: Baseline | None, rng: Random, past: Past | None) -> None:
        self.units: dict[str, Unit] = {}
        self.hooks: list[tuple[str, Hook]] = []
        self.alive = 0
        self._dispatcher = dispatcher
        self._baseline = baseline
        self._plain = Engine((), baseline)  # one for all tasks without rules of their own
        self._rng = rng
        self._past = past

    def unit(self, name: str) -> Unit:
        """The unit called *name*; RunnerError when there is none."""
        unit = self.units.get(name)
        if unit is None:
            raise RunnerError(f"there is no task {name!r} in this runner")
        return unit

    def take_in(self, task: Task) -> Unit:
        """A unit for *task*, not yet placed; RunnerError for a name that is taken."""
        taken = self.units.get(task.name)
        if taken is not None and not taken.over:
            raise RunnerError(f"task {task.name!r} is already in this runner; names are unique")
        terms = task.terms
        unit = self.units[task.name] = Unit(task, Engine(terms.rules, self._baseline) if terms.rules else self._plain)
        if terms.shutdown is not None:
            self.hooks.append((task.name, terms.shutdown))
        self.alive += 1
        return unit

    def place(self, unit: Unit, now: float) -> None:
        """*unit* starts at its first due time, or when the wait that a life before has left it is over."""
        jitter = unit.task.terms.jitter
        delay, phase = unit.task.place()
        if self._past is not None:
            delay = max(delay, self._past.resume(unit))
        first = unit.grid_due = now + delay
        unit.anchor = first if phase == delay else now + phase
        due = first + self._rng.uniform(0, jitter) if jitter else first
        if unit.extra:
            due = now
        if unit.phase == "paused":
            unit.due = due
        else:
            self._dispatcher.put(unit, due)

    def drop(self, unit: Unit) -> None:
        """*unit*, which is not in the air, does not run any more."""
        self._dispatcher.drop(unit)
        unit.move("stopped")
        if unit.run is not None and unit.run.stalled and unit.task.terms.stall is not None:
            unit.task.terms.stall.forget(unit.run.id)
        unit.run = None
        self.alive -= 1

    def forget(self, unit: Unit) -> None:
        """Nothing of *unit* stays."""
        if self.units.get(unit.name) is unit:
            del self.units[unit.name]
        if self._past is not None:
            self._past.forgotten(unit.name)

    def living(self) -> Iterator[Unit]:
        """Those that may run again."""
        return (unit for unit in self.units.values() if not unit.over)
