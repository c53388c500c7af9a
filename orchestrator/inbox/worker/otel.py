"""Metrics of a poller: its counters as observable instruments of the OpenTelemetry API, read when they are exported.

So they cost a run nothing; the pickup latency alone is recorded as it happens. Without a meter provider all of them are
no-ops.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from longrun import __version__
from orchestrator.inbox.errors import InboxError
from orchestrator.inbox.inbox import Inbox
from orchestrator.inbox.machine import State
from orchestrator.inbox.worker.poller import Poller
from orchestrator.inbox.worker.statistics import BUCKETS, Sample, Statistics

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation

#: The instrumentation scope of our instruments.
SCOPE = "orchestrator.inbox"

_Read: TypeAlias = Callable[[Statistics], Iterable[tuple[float, dict[str, str]]]]

_COUNTERS: dict[str, tuple[str, _Read]] = {
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
_DEPTH = "Runs that have not ended, by type and status, as last sampled."
_AGE = "Seconds that the longest waiting due run has waited."
PICKUP = "inbox.pickup.latency"


class PollerInstruments:
    """The instruments of *poller*, named ``inbox.*``; several pollers share them, and what they count is added up.

    The queue is what :meth:`Poller.sample` found last: who wants it fresh calls that, every half minute or so; one
    poller of each inbox is enough. *meter_provider* is used instead of the global one. InboxError without the package
    opentelemetry-api.
    """

    def __init__(self, poller: Poller, *, meter_provider: "MeterProvider | None" = None) -> None:
        try:
            from opentelemetry import metrics
        except ModuleNotFoundError as error:
            raise InboxError("PollerInstruments needs the package opentelemetry-api; install it") from error
        provider = metrics.get_meter_provider() if meter_provider is None else meter_provider
        shared = _EXPORTED.get(provider)
        if shared is None:
            shared = _EXPORTED[provider] = _Exported(metrics.get_meter(SCOPE, __version__, meter_provider))
        shared.add(poller)


class _Exported:
    """The one set of instruments of a provider: a second one of the same names would not be exported.

    Statistics are kept also when their poller has gone: counters do not fall.
    """

    def __init__(self, meter: "Meter") -> None:
        self._pollers: list[tuple[Inbox, Statistics]] = []
        for name, (text, read) in _COUNTERS.items():
            meter.create_observable_counter(name, [self._counted(read)], description=text)
        meter.create_observable_gauge("inbox.queue.depth", [self._depth], description=_DEPTH)
        meter.create_observable_gauge("inbox.queue.oldest_age", [self._age], description=_AGE)
        text = "From when a run was due to when its handler started."
        self._pickup = meter.create_histogram(PICKUP, "s", text, explicit_bucket_boundaries_advisory=BUCKETS)

    def add(self, poller: Poller) -> None:
        pickup = self._pickup
        poller.statistics.picked_up = lambda kind, waited: pickup.record(waited, {"type": kind})
        if all(statistics is not poller.statistics for _, statistics in self._pollers):
            self._pollers.append((poller.inbox, poller.statistics))

    def _counted(self, read: _Read) -> "Callable[[CallbackOptions], Iterable[Observation]]":
        def call(_: "CallbackOptions") -> "Iterable[Observation]":
            return _summed(entry for _, statistics in tuple(self._pollers) for entry in read(statistics))

        return call

    def _depth(self, _: "CallbackOptions") -> "Iterable[Observation]":
        return _summed(
            (n, {"type": kind, "status": str(state)})
            for sample in self._samples()
            for (kind, state), n in sample.stats.counts.items()
            if state in _ALIVE
        )

    def _age(self, _: "CallbackOptions") -> "Iterable[Observation]":
        ages = [sample.oldest_age for sample in self._samples()]
        return _summed([(max(ages), {})] if ages else [])

    def _samples(self) -> Iterable[Sample]:
        """The latest of each inbox."""
        latest: dict[int, Sample] = {}
        for inbox, statistics in tuple(self._pollers):
            sample, known = statistics.sample, latest.get(id(inbox))
            if sample is not None and (known is None or sample.taken_at > known.taken_at):
                latest[id(inbox)] = sample
        return latest.values()


#: By provider.
_EXPORTED: "WeakKeyDictionary[MeterProvider, _Exported]" = WeakKeyDictionary()


def _summed(entries: Iterable[tuple[float, dict[str, str]]]) -> "Iterable[Observation]":
    from opentelemetry.metrics import Observation

    totals: defaultdict[tuple[tuple[str, str], ...], float] = defaultdict(int)
    for value, labels in entries:
        totals[tuple(labels.items())] += value
    return [Observation(value, dict(labels)) for labels, value in totals.items()]


def _by_type(counts: dict[str, int]) -> Iterable[tuple[float, dict[str, str]]]:
    return [(count, {"type": kind}) for kind, count in counts.copy().items()]  # an exporter reads from its own thread


_ALIVE = (State.PENDING, State.LEASED)
