"""Metrics of a poller: its counters as observable instruments of the OpenTelemetry API, read when they are exported.

So they cost a run nothing; the pickup latency alone is recorded as it happens. Without a meter provider all of them are
no-ops.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from longrun import __version__
from orchestrator.inbox.errors import InboxError
from orchestrator.inbox.machine import State
from orchestrator.inbox.worker.poller import Poller
from orchestrator.inbox.worker.statistics import BUCKETS, Statistics

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

#: The instrumentation scope of our instruments.
SCOPE = "orchestrator.inbox"

_COUNTERS: dict[str, tuple[str, Callable[[Statistics], Iterable[tuple[float, dict[str, str]]]]]] = {
    "inbox.claimed": ("Runs that were claimed.", lambda of: _by_type(of.claimed)),
    "inbox.completed": (
        "Executions whose outcome is known, by status.",
        lambda of: [(n, {"type": kind, "status": status}) for (kind, status), n in of.completed.copy().items()],
    ),
    "inbox.failed_attempts": ("Executions that failed.", lambda of: _by_type(of.failed_attempts)),
    "inbox.dead_lettered": ("Runs that will not be tried again.", lambda of: _by_type(of.dead_lettered)),
    "inbox.abandoned": ("Handlers that ignored their cancellation.", lambda of: _by_type(of.abandoned)),
    "inbox.poll.cycles": ("Rounds of the poller.", lambda of: [(of.cycles, {})]),
    "inbox.poll.errors": (
        "Errors of the database, by type.",
        lambda of: [(n, {"error.type": kind}) for kind, n in of.errors.copy().items()],
    ),
}
_GAUGES: dict[str, tuple[str, Callable[[Statistics], Iterable[tuple[float, dict[str, str]]]]]] = {
    "inbox.queue.depth": ("Runs that have not ended, by type and status, as last sampled.", lambda of: _depth(of)),
    "inbox.queue.oldest_age": ("Seconds that the longest waiting due run has waited.", lambda of: _age(of)),
}
PICKUP = "inbox.pickup.latency"


class PollerInstruments:
    """The instruments of *poller*, named ``inbox.*``; keep it as long as the poller.

    The queue is what :meth:`Poller.sample` found last: who wants it fresh calls that, every half minute or so.
    *meter_provider* is used instead of the global one. InboxError without the package opentelemetry-api.
    """

    def __init__(self, poller: Poller, *, meter_provider: "MeterProvider | None" = None) -> None:
        try:
            from opentelemetry import metrics
        except ModuleNotFoundError as error:
            raise InboxError("PollerInstruments needs the package opentelemetry-api; install it") from error
        statistics = poller.statistics
        meter = metrics.get_meter(SCOPE, __version__, meter_provider)
        for name, (text, read) in _COUNTERS.items():
            meter.create_observable_counter(name, [_observed(statistics, read)], description=text)
        for name, (text, read) in _GAUGES.items():
            meter.create_observable_gauge(name, [_observed(statistics, read)], description=text)
        text = "From when a run was due to when its handler started."
        pickup = meter.create_histogram(PICKUP, "s", text, explicit_bucket_boundaries_advisory=BUCKETS)
        statistics.picked_up = lambda kind, waited: pickup.record(waited, {"type": kind})


def _observed(
    statistics: Statistics, read: Callable[[Statistics], Iterable[tuple[float, dict[str, str]]]]
) -> "Callable[[CallbackOptions], Iterable[Observation]]":
    def call(_: "CallbackOptions") -> "Iterable[Observation]":
        from opentelemetry.metrics import Observation

        return [Observation(value, labels) for value, labels in read(statistics)]

    return call


def _by_type(counts: dict[str, int]) -> Iterable[tuple[float, dict[str, str]]]:
    return [(count, {"type": kind}) for kind, count in counts.copy().items()]  # an exporter reads from its own thread


def _depth(statistics: Statistics) -> Iterable[tuple[float, dict[str, str]]]:
    if statistics.sample is None:
        return []
    counts = statistics.sample.stats.counts
    return [(n, {"type": kind, "status": str(state)}) for (kind, state), n in counts.items() if state in _ALIVE]


def _age(statistics: Statistics) -> Iterable[tuple[float, dict[str, str]]]:
    return [] if statistics.sample is None else [(statistics.sample.oldest_age, {})]


_ALIVE = (State.PENDING, State.LEASED)
