"""EventLog: longrun's events as log lines, with the unit they belong to. One line for what a person acts on."""

import logging
from collections.abc import Mapping

from longrun.events import (
    AttemptFailed,
    AttemptSucceeded,
    DegradedEntered,
    DegradedOngoing,
    DegradedRecovered,
    EscalatorFailed,
    Event,
    HookFailed,
    KillOrdered,
    LoopBlocked,
    RetryScheduled,
    RunAbandoned,
    RunExtended,
    RunNudged,
    RunsCancelled,
    RunStalled,
    RunStuck,
    ShutdownStuck,
    StopRequested,
    TaskFailed,
    TaskFinished,
    TaskRemoved,
    TicksSkipped,
)
from longrun.failure.category import Category
from orchestrator.planner import TaskId, TaskIdError
from orchestrator.scheduler.outcome import described

_LEVELS: Mapping[type[Event], int] = {
    AttemptFailed: logging.DEBUG,
    AttemptSucceeded: logging.DEBUG,
    DegradedEntered: logging.ERROR,
    DegradedOngoing: logging.ERROR,
    DegradedRecovered: logging.INFO,
    EscalatorFailed: logging.ERROR,
    HookFailed: logging.ERROR,
    KillOrdered: logging.ERROR,
    LoopBlocked: logging.ERROR,
    RetryScheduled: logging.WARNING,
    RunAbandoned: logging.ERROR,
    RunExtended: logging.WARNING,
    RunNudged: logging.WARNING,
    RunStalled: logging.WARNING,
    RunStuck: logging.ERROR,
    RunsCancelled: logging.WARNING,
    ShutdownStuck: logging.ERROR,
    StopRequested: logging.INFO,
    TaskFailed: logging.ERROR,
    TaskFinished: logging.INFO,
    TaskRemoved: logging.DEBUG,
    TicksSkipped: logging.DEBUG,
}


class EventLog:
    """A listener. A retry of no known kind is told by its degraded episode, not a second time as a retry."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("orchestrator.events")

    @property
    def routine(self) -> bool:
        """Attempts that go as planned are lines for debugging."""
        return self._logger.isEnabledFor(logging.DEBUG)

    def __call__(self, event: Event) -> None:
        level = _LEVELS.get(type(event), logging.DEBUG)
        if isinstance(event, TaskFinished) and event.subject.startswith("preflight:"):
            level = logging.DEBUG  # the progress of phase 1 tells them by the dozen
        if isinstance(event, RetryScheduled) and event.category is Category.UNKNOWN:
            level = logging.DEBUG  # degraded.entered and degraded.ongoing say it
        if not self._logger.isEnabledFor(level):
            return
        self._logger.log(level, event.name, extra={**_place(event.subject), **_fields(event)})


def _place(subject: str) -> dict[str, object]:
    try:
        task = TaskId.parse(subject)
    except TaskIdError:
        return {"subject": subject}
    place: dict[str, object] = {"phase": task.phase, "resource": task.resource}
    return place if task.tenant is None else {**place, "tenant": task.tenant}


def _fields(event: Event) -> dict[str, object]:  # noqa: C901 - one row for each kind of event
    fields: dict[str, object] = {}
    run = getattr(event, "run", None)
    if run:
        fields["run_id"] = run
    match event:
        case RetryScheduled():
            fields |= {"attempt": event.attempt, "wait": round(event.wait, 3), "rule": event.rule}
            fields |= {"caused_by": described(event.error)}
            if event.hint is not None:
                fields["hint"] = round(event.hint, 3)
        case AttemptFailed():
            fields |= {"attempt": event.attempt, "duration": round(event.duration, 4)}
            fields |= {"caused_by": described(event.error)}
        case AttemptSucceeded():
            fields |= {"attempt": event.attempt, "duration": round(event.duration, 4)}
        case TaskFailed():
            fields |= {"caused_by": described(event.error), "reason": event.reason}
        case DegradedEntered() | HookFailed():
            fields |= {"caused_by": described(event.error)}
        case DegradedOngoing():
            fields |= {"caused_by": described(event.error), "duration": round(event.duration, 1)}
            fields |= {"failures": event.failures}
        case DegradedRecovered():
            fields |= {"duration": round(event.duration, 1), "failures": event.failures}
        case TicksSkipped():
            fields |= {"count": event.count, "reason": event.reason}
        case StopRequested():
            fields |= {"reason": event.reason, "drain": event.drain}
        case RunsCancelled() | ShutdownStuck():
            fields |= {"tasks": ", ".join(event.tasks)}
        case RunAbandoned():
            fields |= {"stack": event.stack}
        case RunStuck() | LoopBlocked():
            fields |= {"duration": round(event.seconds, 1), "stack": event.stack}
        case RunStalled():
            fields |= {"duration": round(event.elapsed, 1), "idle": round(event.idle_for, 1)}
        case RunNudged():
            fields |= {"nudge": event.message}
        case RunExtended():
            fields |= {"extended_by": round(event.seconds, 1)}
        case KillOrdered():
            fields |= {"reason": event.reason, "by": event.by}
        case EscalatorFailed():
            fields |= {"caused_by": described(event.error)}
        case _:
            pass
    return fields
