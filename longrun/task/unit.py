"""Unit: a task in a runner - its place on the calendar, its run in flight, what is known of its runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from longrun.engine import Engine, Spent
from longrun.errors import RunnerError
from longrun.failure.category import Category
from longrun.task.limit import Limit
from longrun.task.run import Run
from longrun.task.task import Task

if TYPE_CHECKING:
    from longrun.task.flight import Flight

#: waiting: on the calendar for its first or next run; queued: due, but every slot is taken; running: an attempt is in
#: flight; retrying: between two attempts; paused: by an operator; finished, failed and stopped: does not run again.
UnitPhase: TypeAlias = Literal[
    "waiting", "queued", "running", "retrying", "paused", "finished", "failed", "stopped"
]  # fmt: skip

#: Whether a run was ordered during the one in flight: it comes right behind that, or once the unit is resumed.
Again: TypeAlias = Literal["no", "at once", "when resumed"]

#: The transition table: what may follow each phase.
TRANSITIONS: Mapping[UnitPhase, frozenset[UnitPhase]] = {
    "waiting": frozenset({"queued", "waiting", "paused", "stopped"}),
    "queued": frozenset({"running", "waiting", "retrying", "paused", "stopped"}),
    "running": frozenset({"waiting", "retrying", "paused", "finished", "failed", "stopped"}),
    "retrying": frozenset({"queued", "retrying", "waiting", "paused", "stopped"}),
    "paused": frozenset({"waiting", "retrying", "stopped"}),
    "finished": frozenset(),
    "failed": frozenset(),
    "stopped": frozenset(),
}


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task as it stands, by value. Instants are on the event loop's clock.

    *skipped*: points of its grid that passed unused. *late*: its run in flight has outlived what it is expected to take
    (its critic says how long), or its interval. *stuck*: its run was cancelled and does not end. *paused*: by whom, or
    why; None when it is not.
    """

    name: str
    phase: UnitPhase
    runs: int
    failures: int
    skipped: int
    attempt: int
    last_started: float | None
    last_succeeded: float | None
    next_due: float | None
    category: Category | None
    last_error: BaseException | None
    degraded_since: float | None
    late: bool = False
    stuck: bool = False
    paused: str | None = None


class Trouble:
    """What a unit that has failed carries on: budgets spent, the last error, its degraded episode."""

    __slots__ = ("category", "degraded_failures", "degraded_since", "failures", "last_error", "spent")

    def __init__(self) -> None:
        self.spent = Spent()
        self.failures = 0
        self.last_error: BaseException | None = None
        self.category: Category | None = None
        self.degraded_since: float | None = None
        self.degraded_failures = 0


class Unit:
    """Mutable; touched by its runner only. There may be a hundred thousand: what most do not need is made on need."""

    __slots__ = (
        "again", "anchor", "due", "engine", "extra", "flight", "grid_due", "last_started", "last_succeeded", "limits",
        "lined", "paused", "phase", "removed", "run", "runs", "skipped", "task", "tick", "trouble",
    )  # fmt: skip

    def __init__(self, task: Task, engine: Engine) -> None:
        self.task = task
        self.engine = engine
        #: What limits how many runs of it and others go on at a time.
        self.limits: tuple[Limit, ...] = task.limits + task.terms.limits if task.limits else task.terms.limits
        self.phase: UnitPhase = "waiting"
        self.tick = -1
        #: Where its grid lies; which point of it is next, or served by the run in flight; when the unit is to start.
        self.anchor = 0.0
        self.grid_due = 0.0
        self.due = 0.0
        #: Whether the run to come, or in flight, was triggered: it serves no point of the grid.
        self.extra = False
        #: Whether it stands in a line for a slot or a limit; also when it is not queued any more, until its turn comes.
        self.lined = False
        self.run: Run | None = None
        self.flight: Flight | None = None
        self.trouble: Trouble | None = None
        self.runs = 0
        self.skipped = 0
        self.last_started: float | None = None
        self.last_succeeded: float | None = None
        #: What is to become of it once the run in flight has ended: paused, run once more, or forgotten.
        self.paused: str | None = None
        self.again: Again = "no"
        self.removed = False

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def over(self) -> bool:
        """Whether the unit will not run again."""
        return self.phase in ("finished", "failed", "stopped")

    def move(self, phase: UnitPhase) -> None:
        """Go on to *phase*; RunnerError for a step that the transition table does not know."""
        if phase not in TRANSITIONS[self.phase]:
            raise RunnerError(f"task {self.name!r} cannot go from {self.phase} to {phase}: a defect of the runner")
        self.phase = phase

    def state(self, now: float) -> TaskState:
        """The unit as a frozen value."""
        trouble = self.trouble or _NONE
        flight = self.flight
        return TaskState(
            name=self.task.name,
            phase=self.phase,
            runs=self.runs,
            failures=trouble.failures,
            skipped=self.skipped,
            attempt=self.run.attempt if self.run is not None else 0,
            last_started=self.last_started,
            last_succeeded=self.last_succeeded,
            next_due=self.due if self.phase in ("waiting", "retrying") else None,
            category=trouble.category,
            last_error=trouble.last_error,
            degraded_since=trouble.degraded_since,
            late=flight is not None and flight.late(now),
            stuck=flight is not None and flight.stuck,
            paused=None if self.over else self.paused,
        )


_NONE = Trouble()
