"""Metrics: a listener that turns the events of calls and tasks into instruments of the OpenTelemetry API.

Every event counts under its own name, ``longrun.<event name>``; attempts, retries by a baseline and degraded episodes
have instruments of their own below. Without a meter provider they are all no-ops; one that is set later is served.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

from longrun._version import __version__
from longrun.attempts.events import AttemptStoreFailed, AttemptStoreRecovered
from longrun.errors import PipelineError
from longrun.events import (
    AttemptCancelled,
    AttemptFailed,
    AttemptStarted,
    AttemptSucceeded,
    DegradedEntered,
    DegradedOngoing,
    DegradedRecovered,
    Event,
    HookFailed,
    LoopBlocked,
    RetryScheduled,
    RunAbandoned,
    TaskFailed,
    TaskFinished,
    TaskRemoved,
    TicksSkipped,
)
from longrun.failure.category import Category
from longrun.telemetry import Value, error_type

if TYPE_CHECKING:
    from opentelemetry.metrics import Counter, MeterProvider

Labels: TypeAlias = dict[str, Value]

#: The instrumentation scope of our instruments.
SCOPE = "longrun"

CALL_ATTEMPTS = "longrun.call.attempts"
CALL_ATTEMPT_DURATION = "longrun.call.attempt.duration"
TASK_ATTEMPTS = "longrun.task.attempts"
TASK_ATTEMPT_DURATION = "longrun.task.attempt.duration"
RETRY_WAIT = "longrun.retry.wait"
BASELINE_RETRY = "longrun.baseline.retry"
DEGRADED_DURATION = "longrun.degraded.duration"
DEGRADED_ACTIVE = "longrun.degraded.active"
#: Before the name of an event: ``longrun.retry.scheduled``, ``longrun.degraded.entered``, ``longrun.circuit.opened``.
COUNTER_PREFIX = "longrun."

#: Upper bounds of the histograms of seconds: from a fast call to a long degraded episode.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)

#: Fields of events that become labels: they take few values. Keys, run ids and reasons in words stay out.
LABELS = ("rule", "circuit", "state", "priority")

#: Labels of successes that are kept ready: as many as there are series by default before the SDK overflows.
_MOST_READY = 2000

_OUTCOMES = {AttemptSucceeded: "succeeded", AttemptFailed: "failed", AttemptCancelled: "cancelled"}
_OF_TASKS = (
    *(TaskFinished, TaskFailed, DegradedEntered, DegradedOngoing, DegradedRecovered),
    *(TicksSkipped, RunAbandoned, HookFailed, TaskRemoved, LoopBlocked, AttemptStoreFailed, AttemptStoreRecovered),
)


class Instruments:
    """A listener: ``observe(Instruments())`` for a pipeline, ``Runner(listeners=[Instruments()])`` for tasks.

    Labels are ``call`` or ``task``, and by event ``outcome``, ``rule``, ``category``, ``error.type``. *label* tells
    what stands for the name of a call or task (by default the name itself), *tenant* its tenant (None: no label): every
    value is a series of its own, so where tasks or tenants are many, give a *label* of few values, and no *tenant*.
    *meter_provider* is used instead of the global one. PipelineError without the package opentelemetry-api.
    """

    #: An attempt is counted when it ends.
    starts = False

    def __init__(
        self,
        *,
        label: Callable[[str], str] = str,
        tenant: Callable[[str], str | None] | None = None,
        meter_provider: "MeterProvider | None" = None,
    ) -> None:
        try:
            from opentelemetry import metrics
        except ModuleNotFoundError as error:
            raise PipelineError("Instruments needs the package opentelemetry-api; install it") from error
        meter = metrics.get_meter(SCOPE, __version__, meter_provider)
        self._meter = meter
        self._label = label
        self._tenant = tenant
        self._degraded: set[str] = set()
        self._succeeded: dict[tuple[str, str], Labels] = {}
        self._counters: dict[str, Counter] = {}
        self._attempts = {
            "call": meter.create_counter(CALL_ATTEMPTS, "{attempt}", "Attempts of calls, by how they ended."),
            "task": meter.create_counter(TASK_ATTEMPTS, "{attempt}", "Attempts of tasks, by how they ended."),
        }
        self._durations = {
            kind: meter.create_histogram(name, "s", text, explicit_bucket_boundaries_advisory=BUCKETS)
            for kind, name, text in (
                ("call", CALL_ATTEMPT_DURATION, "How long attempts of calls took."),
                ("task", TASK_ATTEMPT_DURATION, "How long attempts of tasks took."),
                ("wait", RETRY_WAIT, "Waits between attempts, as scheduled."),
                ("degraded", DEGRADED_DURATION, "How long degraded episodes lasted, once recovered."),
            )
        }
        self._baseline = meter.create_counter(BASELINE_RETRY, "{retry}", "Retries that a baseline decided.")
        self._active = meter.create_gauge(DEGRADED_ACTIVE, "{episode}", "1 while a task is degraded, else 0.")

    def __call__(self, event: Event) -> None:
        if type(event) is AttemptSucceeded and self._tenant is None:  # by far the most there are of
            kind, label = "call" if event.run is None else "task", self._label(event.subject)
            labels = self._succeeded.get((kind, label))
            if labels is None:
                labels = dict[str, Value]({kind: label, "outcome": _OUTCOMES[AttemptSucceeded]})
                if len(self._succeeded) < _MOST_READY:
                    self._succeeded[kind, label] = labels
            self._counted(kind, event.duration, labels)
            return
        if isinstance(event, AttemptStarted):
            return
        kind = "task" if isinstance(event, _OF_TASKS) or getattr(event, "run", None) is not None else "call"
        labels = dict(self._labels(kind, event))
        if isinstance(event, AttemptSucceeded | AttemptFailed | AttemptCancelled):
            self._counted(kind, event.duration, {**labels, "outcome": _OUTCOMES[type(event)]})
            return
        self._counter(event.name).add(event.count if isinstance(event, TicksSkipped) else 1, labels)
        if isinstance(event, RetryScheduled):
            self._scheduled(kind, event, labels)
        else:
            self._episode(event)

    def _labels(self, kind: str, event: Event) -> Iterator[tuple[str, Value]]:
        yield kind, self._label(event.subject)
        tenant = self._tenant(event.subject) if self._tenant is not None else None
        if tenant is not None:
            yield "tenant", tenant
        for name in LABELS:
            value = getattr(event, name, None)
            if isinstance(value, str):
                yield name, value
        category = getattr(event, "category", None)
        if isinstance(category, Category):
            yield "category", category.name.lower()
        error = getattr(event, "error", None)
        if isinstance(error, BaseException):
            yield "error.type", error_type(error)
        if isinstance(event, TicksSkipped):
            yield "reason", event.reason  # one of a few sentences

    def _counted(self, kind: str, duration: float, labels: Labels) -> None:
        self._attempts[kind].add(1, labels)
        self._durations[kind].record(duration, labels)

    def _scheduled(self, kind: str, event: RetryScheduled, labels: Labels) -> None:
        self._durations["wait"].record(event.wait, labels)
        if kind == "task" and event.category is not None:
            kept = ("task", "tenant", "category")
            self._baseline.add(1, {name: value for name, value in labels.items() if name in kept})

    def _episode(self, event: Event) -> None:
        if not isinstance(event, DegradedEntered | DegradedRecovered | TaskFailed | TaskFinished):
            return
        labels = {**dict(self._labels("task", event)), "category": Category.UNKNOWN.name.lower()}
        labels.pop("error.type", None)  # an episode is one series from its beginning to its end
        if isinstance(event, DegradedEntered):
            self._degraded.add(event.subject)
            self._active.set(1, labels)
        elif event.subject in self._degraded:
            self._degraded.discard(event.subject)
            self._active.set(0, labels)
            if isinstance(event, DegradedRecovered):
                self._durations["degraded"].record(event.duration, labels)

    def _counter(self, event: str) -> "Counter":
        counter = self._counters.get(event)
        if counter is None:
            name = COUNTER_PREFIX + event
            counter = self._counters[event] = self._meter.create_counter(name, "{event}", f"Events {event}.")
        return counter
