"""The one event stream: what happens, as frozen values, once per attempt.

Every event has a ``name`` (``subject.past_verb``) that logs, metrics and spans share. A listener is any callable that
takes an event; a listener that raises is logged and changes nothing.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from longrun.failure.category import Category

_log = logging.getLogger("longrun.events")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. *subject* is the name of the pipeline or task it happened to."""

    name: ClassVar[str] = "event"
    subject: str


@dataclass(frozen=True, slots=True)
class AttemptStarted(Event):
    """An attempt begins; *attempt* counts from 1. *run* is the id of a task's run, None for a plain call."""

    name: ClassVar[str] = "attempt.started"
    attempt: int
    run: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptSucceeded(Event):
    """An attempt returned after *duration* seconds."""

    name: ClassVar[str] = "attempt.succeeded"
    attempt: int
    duration: float
    run: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptFailed(Event):
    """An attempt raised *error* after *duration* seconds. *category* is known where a baseline judged it."""

    name: ClassVar[str] = "attempt.failed"
    attempt: int
    duration: float
    error: BaseException
    category: Category | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptCancelled(Event):
    """An attempt was cut off after *duration* seconds: no success, and no failure either."""

    name: ClassVar[str] = "attempt.cancelled"
    attempt: int
    duration: float
    run: str | None = None


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """The next attempt starts in *wait* seconds. *rule* is who decided; *hint* is what the other side asked for."""

    name: ClassVar[str] = "retry.scheduled"
    attempt: int
    wait: float
    rule: str
    error: BaseException
    hint: float | None = None
    category: Category | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class GaveUp(Event):
    """No further attempt: *reason* says why. The error goes on to the caller, or ends the task."""

    name: ClassVar[str] = "retry.gave_up"
    attempt: int
    error: BaseException
    reason: str
    run: str | None = None


@dataclass(frozen=True, slots=True)
class TaskFinished(Event):
    """A one-shot task has done its work."""

    name: ClassVar[str] = "task.finished"
    run: str


@dataclass(frozen=True, slots=True)
class TaskFailed(Event):
    """A task failed for good and does not run again."""

    name: ClassVar[str] = "task.failed"
    error: BaseException
    reason: str


@dataclass(frozen=True, slots=True)
class TaskRemoved(Event):
    """A task was taken out of its runner; a run of it that was in flight has ended."""

    name: ClassVar[str] = "task.removed"


@dataclass(frozen=True, slots=True)
class DegradedEntered(Event):
    """A task met a failure of no known kind: it goes on, loudly."""

    name: ClassVar[str] = "degraded.entered"
    error: BaseException


@dataclass(frozen=True, slots=True)
class DegradedOngoing(Event):
    """... and is still failing after *duration* seconds and *failures* failures in a row."""

    name: ClassVar[str] = "degraded.ongoing"
    error: BaseException
    duration: float
    failures: int


@dataclass(frozen=True, slots=True)
class DegradedRecovered(Event):
    """... and works again; the whole episode took *duration* seconds."""

    name: ClassVar[str] = "degraded.recovered"
    duration: float
    failures: int


@dataclass(frozen=True, slots=True)
class TicksSkipped(Event):
    """*count* points of the grid passed unused; *reason* says why."""

    name: ClassVar[str] = "ticks.skipped"
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class StopRequested(Event):
    """The runner stops; runs in flight have *drain* seconds to end by themselves. The first reason stays."""

    name: ClassVar[str] = "runner.stop_requested"
    reason: str
    drain: float


@dataclass(frozen=True, slots=True)
class RunsCancelled(Event):
    """The time to drain is over: the runs of *tasks* are cancelled."""

    name: ClassVar[str] = "runner.runs_cancelled"
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunAbandoned(Event):
    """A run ignored its cancellation. *stack* is where it stands."""

    name: ClassVar[str] = "run.abandoned"
    run: str
    stack: str


@dataclass(frozen=True, slots=True)
class RunStuck(Event):
    """A cancelled run has not ended for *seconds*: it ignores its cancellation. *stack* is where it stands.

    Its slot is given to others; its task does not run again until it has ended.
    """

    name: ClassVar[str] = "run.stuck"
    run: str
    seconds: float
    stack: str


@dataclass(frozen=True, slots=True)
class LoopBlocked(Event):
    """The event loop stood still for *seconds*. *stack* is where its thread stood at that time."""

    name: ClassVar[str] = "loop.blocked"
    seconds: float
    stack: str


@dataclass(frozen=True, slots=True)
class RunStalled(Event):
    """A run has become late or silent for the first time in this attempt. Both durations in seconds."""

    name: ClassVar[str] = "run.stalled"
    run: str
    elapsed: float
    idle_for: float


@dataclass(frozen=True, slots=True)
class RunNudged(Event):
    """An escalator said *message* to a stalled run, which finds it in ``run.nudges``."""

    name: ClassVar[str] = "run.nudged"
    run: str
    message: str


@dataclass(frozen=True, slots=True)
class RunExtended(Event):
    """A stalled run may go on for *seconds* from now; *deadline* is when it ends, on the event loop's clock."""

    name: ClassVar[str] = "run.extended"
    run: str
    seconds: float
    deadline: float


@dataclass(frozen=True, slots=True)
class KillOrdered(Event):
    """A run is being ended. *by* is who wants it: ``"escalator"``, ``"deadline"`` or an operator."""

    name: ClassVar[str] = "run.kill_ordered"
    run: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class EscalatorFailed(Event):
    """An escalator raised, took too long or answered nonsense; the run keeps its deadline."""

    name: ClassVar[str] = "escalator.failed"
    run: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class HookFailed(Event):
    """The shutdown hook of a task raised, or did not end in its slice of the time."""

    name: ClassVar[str] = "hook.failed"
    error: BaseException


@dataclass(frozen=True, slots=True)
class ShutdownStuck(Event):
    """Everything else is closed, but abandoned runs or shutdown hooks of *tasks* still hold the runner open."""

    name: ClassVar[str] = "runner.shutdown_stuck"
    tasks: tuple[str, ...]


Listener: TypeAlias = Callable[[Event], None]


class WithoutRoutine:
    """*hear* as a listener that does not want to hear of attempts that go as planned; see :func:`hears_routine`."""

    __slots__ = ("_hear",)
    routine = False

    def __init__(self, hear: Listener) -> None:
        self._hear = hear

    def __call__(self, event: Event) -> None:
        self._hear(event)


def hears_routine(listener: Listener) -> bool:
    """Whether *listener* wants to hear of attempts of tasks that go as planned: their start and their success.

    One with an attribute ``routine = False`` does not. When none does, these events are not even made: they would cost
    a task more than everything else that is done for it.
    """
    return bool(getattr(listener, "routine", True))


def hears_starts(listener: Listener) -> bool:
    """Whether *listener* wants to hear that attempts of tasks begin. One with an attribute ``starts = False`` hears of
    their ends alone; see :func:`hears_routine`."""
    return hears_routine(listener) and bool(getattr(listener, "starts", True))


def emit(listeners: Iterable[Listener], event: Event) -> None:
    """Give *event* to each listener; one that raises is logged and harms nobody."""
    for listener in listeners:
        try:
            listener(event)
        except Exception:  # noqa: BLE001 - a listener is foreign code; it is logged, the call goes on
            _log.exception("listener %r failed on %s", listener, event.name)
