"""Unit: a task in a runner - its place on the calendar, its run in flight, its counters."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from anyio import CancelScope

from longrun.engine import Engine, Spent
from longrun.errors import RunnerError
from longrun.failure.category import Category
from longrun.task.run import Run
from longrun.task.task import Task

#: waiting: on the calendar for its first or next run; queued: due, but every slot is taken; running: an attempt is in
#: flight; retrying: between two attempts; finished, failed and stopped: does not run again.
UnitPhase: TypeAlias = Literal["waiting", "queued", "running", "retrying", "finished", "failed", "stopped"]

#: The transition table: what may follow each phase.
TRANSITIONS: Mapping[UnitPhase, frozenset[UnitPhase]] = {
    "waiting": frozenset({"queued", "waiting", "stopped"}),
    "queued": frozenset({"running", "waiting", "retrying", "stopped"}),
    "running": frozenset({"waiting", "retrying", "finished", "failed", "stopped"}),
    "retrying": frozenset({"queued", "retrying", "stopped"}),
    "finished": frozenset(),
    "failed": frozenset(),
    "stopped": frozenset(),
}


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task as it stands, by value. Instants are on the event loop's clock."""

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


class Unit:
    """Mutable; touched by its runner only."""

    __slots__ = (
        "anchor", "category", "coroutine", "degraded_failures", "degraded_since", "due", "engine", "failures",
        "grid_due", "last_error", "last_started", "last_succeeded", "phase", "run", "runs", "scope", "skipped", "spent",
        "stopping", "task", "tick",
    )  # fmt: skip

    def __init__(self, task: Task, engine: Engine) -> None:
        self.task = task
        self.engine = engine
        self.phase: UnitPhase = "waiting"
        self.tick = -1
        self.anchor = 0.0
        self.grid_due = 0.0
        self.due = 0.0
        self.run: Run | None = None
        self.scope: CancelScope | None = None
        self.coroutine: Awaitable[object] | None = None
        self.stopping = False
        self.spent = Spent()
        self.runs = 0
        self.failures = 0
        self.skipped = 0
        self.last_started: float | None = None
        self.last_succeeded: float | None = None
        self.last_error: BaseException | None = None
        self.category: Category | None = None
        self.degraded_since: float | None = None
        self.degraded_failures = 0

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

    def cancel(self) -> None:
        """Cancel the attempt in flight, or the one that is about to begin."""
        self.stopping = True
        if self.scope is not None:
            self.scope.cancel()

    def state(self) -> TaskState:
        """The unit as a frozen value."""
        return TaskState(
            name=self.task.name,
            phase=self.phase,
            runs=self.runs,
            failures=self.failures,
            skipped=self.skipped,
            attempt=self.run.attempt if self.run is not None else 0,
            last_started=self.last_started,
            last_succeeded=self.last_succeeded,
            next_due=self.due if self.phase in ("waiting", "retrying") else None,
            category=self.category,
            last_error=self.last_error,
            degraded_since=self.degraded_since,
        )
