"""The metrics of a poller, read with the real SDK."""

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from orchestrator.contracts import PermanentFailure
from orchestrator.inbox import Intent
from orchestrator.inbox.module import InboxModule
from orchestrator.inbox.worker.otel import PollerInstruments

pytestmark = pytest.mark.anyio


async def test_what_a_poller_counts_is_exported_under_its_names(inbox, poller_of):
    """By type and status; the queue as it was sampled; nothing of what never happened."""

    async def work(run):
        if run.payload == "bad":
            raise PermanentFailure("no")

    reader = InMemoryMetricReader()
    poller = poller_of(work)
    PollerInstruments(poller, meter_provider=MeterProvider([reader]))
    await inbox.submit_many([Intent("mail.v1", what) for what in ("fine", "fine", "bad")])
    await inbox.submit("mail.v1", 1, delay=500)
    await poller.poll()
    await poller.sample()

    values = exported(reader)
    assert values["inbox.claimed", "mail.v1"] == 3
    assert values["inbox.completed", "mail.v1", "succeeded"] == 2
    assert values["inbox.completed", "failed", "mail.v1"] == 1
    assert values["inbox.dead_lettered", "mail.v1"] == 1
    assert values["inbox.queue.depth", "mail.v1", "pending"] >= 1
    assert values["inbox.pickup.latency", "mail.v1"] == 3
    assert values["inbox.poll.cycles",] >= 1
    assert not [name for name, *_ in values if name == "inbox.poll.errors"]


async def test_two_pollers_of_a_process_are_counted_together(inbox, poller_of):
    """Whoever makes their instruments, and however often; the queue is one, whoever looked at it."""

    async def work(run):
        pass

    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    pollers = [poller_of(work), poller_of(work)]
    for poller in (*pollers, pollers[0]):
        PollerInstruments(poller, meter_provider=provider)
    for poller, count in zip(pollers, (3, 2), strict=True):
        await inbox.submit_many([Intent("mail.v1", n) for n in range(count)])
        await poller.poll()
        await poller.sample()
    await inbox.submit("mail.v1", 1, delay=500)
    await pollers[0].sample()

    values = exported(reader)
    assert values["inbox.claimed", "mail.v1"] == 5
    assert values["inbox.completed", "mail.v1", "succeeded"] == 5
    assert values["inbox.pickup.latency", "mail.v1"] == 5
    assert values["inbox.poll.cycles",] == sum(poller.statistics.cycles for poller in pollers)
    assert values["inbox.queue.depth", "mail.v1", "pending"] == 1


async def test_the_module_exports_what_its_poller_counts(inbox, poller_of):
    """The counters of its poller, and every half minute how much waits."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])

    async def work(run):
        """Nothing."""

    poller = poller_of(work)
    module = InboxModule(inbox, poller, meter_provider=provider)
    await inbox.submit_many([Intent("mail.v1", number, delay=delay) for number, delay in enumerate((0, 1000))])
    await poller.poll()
    (spec,) = [
        each for each in (one.task_spec() for one in module.global_workers()) if each.resource == "inbox-sampler"
    ]
    await spec.work()

    assert spec.interval == 30
    values = exported(reader)
    assert values["inbox.claimed", "mail.v1"] == 1
    assert values["inbox.queue.depth", "mail.v1", "pending"] == 1


def exported(reader):
    """The numbers by the name and the labels of each; how many of a histogram."""
    (scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
    return {
        (metric.name, *sorted(point.attributes.values())): getattr(point, "value", None)
        or getattr(point, "count", None)
        for metric in scope.metrics
        for point in metric.data.data_points
    }
