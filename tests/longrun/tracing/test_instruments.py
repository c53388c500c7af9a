"""Instruments: the events of calls and tasks as metrics."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import anyio
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from longrun import Baseline, Outcome, Pipeline, Task, observe, retry
from longrun.backoff import constant
from longrun.events import DegradedEntered, Event, TaskFailed, TicksSkipped
from longrun.otel import Instruments
from longrun.testing import Hang, Script

pytestmark = pytest.mark.anyio

RunFor = Callable[..., Awaitable[Outcome]]


class Flaky(Exception):
    """A failure of the test's own."""


class Meters:
    """A provider with its metrics in memory."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])

    def points(self, name: str) -> dict[frozenset[tuple[str, object]], float]:
        """Labels and value of each series of *name*; of a histogram, the sum."""
        data = self._reader.get_metrics_data()
        found: dict[frozenset[tuple[str, object]], float] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points if metric.name == name else ():
                        value = point.sum if isinstance(point, HistogramDataPoint) else point.value  # type: ignore[union-attr]  # no exponential ones here
                        found[frozenset((point.attributes or {}).items())] = value
        return found


@pytest.fixture
def meters() -> Iterator[Meters]:
    """A provider of the test's own; the global one stays unset."""
    meters = Meters()
    yield meters
    meters.provider.shutdown()


@pytest.fixture
def instruments(meters: Meters) -> Instruments:
    """The listener under test."""
    return Instruments(meter_provider=meters.provider)


def labels(**given: object) -> frozenset[tuple[str, object]]:
    """Labels as they are compared; ``error_type`` stands for ``error.type``."""
    return frozenset((name.replace("error_type", "error.type"), value) for name, value in given.items())


FLAKY = f"{Flaky.__module__}.Flaky"


async def test_attempts_of_a_call_are_counted_by_outcome(meters: Meters, instruments: Instruments) -> None:
    """One per attempt, with its duration; the retry between them under the rule that decided."""
    policy = Pipeline(observe(instruments), retry.on(Flaky, 3, constant(2), name="flaky"), name="fetch")

    await policy.do(Script(Flaky(), 1.5))

    failed = labels(call="fetch", outcome="failed", error_type=FLAKY)
    succeeded = labels(call="fetch", outcome="succeeded")
    scheduled = labels(call="fetch", rule="flaky", error_type=FLAKY)
    assert meters.points("longrun.call.attempts") == {failed: 1, succeeded: 1}
    assert meters.points("longrun.call.attempt.duration") == {failed: 0.0, succeeded: pytest.approx(1.5)}
    assert meters.points("longrun.retry.scheduled") == {scheduled: 1}
    assert meters.points("longrun.retry.wait") == {scheduled: 2.0}
    assert meters.points("longrun.baseline.retry") == {}


async def test_a_cancelled_attempt_is_neither_success_nor_failure(meters: Meters, instruments: Instruments) -> None:
    """It has an outcome of its own."""
    with anyio.move_on_after(3):
        await Pipeline(observe(instruments), name="fetch").do(Script(Hang()))

    assert meters.points("longrun.call.attempts") == {labels(call="fetch", outcome="cancelled"): 1}


async def test_a_call_that_gives_up_is_counted(meters: Meters, instruments: Instruments) -> None:
    """By the type of the error that came out."""
    with pytest.raises(Flaky):
        await Pipeline(observe(instruments), retry.on(Flaky, 1, constant(1)), name="fetch").do(Script(Flaky()))

    assert meters.points("longrun.retry.gave_up") == {labels(call="fetch", error_type=FLAKY): 1}


async def test_retries_of_a_baseline_are_counted_by_task_and_category(
    meters: Meters, instruments: Instruments, exact: Baseline, run_for: RunFor
) -> None:
    """One series for each task and category, whatever the error was."""
    work = Script(ConnectionResetError(), ConnectionRefusedError(), Flaky(), "ok")

    await run_for(60, Task.every("poll", 1000, work), baseline=exact, listeners=[instruments])

    assert meters.points("longrun.baseline.retry") == {
        labels(task="poll", category="node"): 2,
        labels(task="poll", category="unknown"): 1,
    }
    assert meters.points("longrun.task.attempts")[labels(task="poll", outcome="succeeded")] == 1
    assert meters.points("longrun.call.attempts") == {}


async def test_a_degraded_episode_has_a_beginning_a_duration_and_an_end(
    meters: Meters, instruments: Instruments, exact: Baseline, run_for: RunFor
) -> None:
    """The gauge is 1 while it lasts and 0 afterwards; the histogram gets its length."""
    degraded = labels(task="poll", category="unknown")

    await run_for(45, Task.every("poll", 1000, Script("fail")), baseline=exact, listeners=[instruments])
    during = meters.points("longrun.degraded.active")
    await run_for(100, Task.every("poll", 1000, Script("fail", "ok")), baseline=exact, listeners=[instruments])

    assert during == {degraded: 1}
    assert meters.points("longrun.degraded.active") == {degraded: 0}
    assert meters.points("longrun.degraded.duration") == {degraded: pytest.approx(30.0)}
    assert sum(meters.points("longrun.degraded.entered").values()) == 2
    assert sum(meters.points("longrun.degraded.recovered").values()) == 1


async def test_a_task_that_fails_for_good_is_no_longer_degraded(meters: Meters, instruments: Instruments) -> None:
    """The gauge does not stay at 1 for a task that is gone; one that never was degraded gets no series."""
    instruments(DegradedEntered("poll", Flaky()))
    instruments(TaskFailed("poll", Flaky(), "its rule is spent"))
    instruments(TaskFailed("other", Flaky(), "its rule is spent"))

    assert meters.points("longrun.degraded.active") == {labels(task="poll", category="unknown"): 0}
    assert meters.points("longrun.degraded.duration") == {}


async def test_skipped_ticks_count_each_tick_with_its_reason(meters: Meters, instruments: Instruments) -> None:
    """Not the event: the points of the grid."""
    instruments(TicksSkipped("poll", 3, "the run before took longer than the interval"))
    instruments(TicksSkipped("poll", 2, "the run before took longer than the interval"))

    series = labels(task="poll", reason="the run before took longer than the interval")
    assert meters.points("longrun.ticks.skipped") == {series: 5}


async def test_any_other_event_counts_under_its_own_name(meters: Meters, instruments: Instruments) -> None:
    """An option's event needs no change here; fields that take many values are no labels."""

    @dataclass(frozen=True, slots=True)
    class Opened(Event):
        name: ClassVar[str] = "circuit.opened"
        circuit: str
        key: str
        state: str
        reason: str

    instruments(Opened("fetch", "webhooks", "customer-17", "open", "7 of 10 calls failed in 30 s"))

    assert meters.points("longrun.circuit.opened") == {labels(call="fetch", circuit="webhooks", state="open"): 1}


async def test_the_tenant_is_a_label_when_it_is_asked_for(meters: Meters) -> None:
    """By the name of the task; a name without a tenant gets none."""
    instruments = Instruments(
        meter_provider=meters.provider, tenant=lambda name: name.split("/")[0] if "/" in name else None
    )

    instruments(TaskFailed("acme/poll", Flaky(), "spent"))
    instruments(TaskFailed("sweep", Flaky(), "spent"))

    assert meters.points("longrun.task.failed") == {
        labels(task="acme/poll", tenant="acme", error_type=FLAKY): 1,
        labels(task="sweep", error_type=FLAKY): 1,
    }


async def test_without_a_provider_nothing_happens() -> None:
    """The instruments of the bare API take everything and keep nothing."""
    policy = Pipeline(observe(Instruments()), retry.on(Flaky, 1, constant(1)))

    assert await policy.do(Script(Flaky(), "ok")) == "ok"
