"""Events: exactly one per transition, told to the pipeline that brought it about."""

import anyio
import pytest

from longrun import CircuitOpen, Pipeline, circuit, observe
from longrun.circuit import (
    CircuitBypassed,
    CircuitClosed,
    CircuitEvent,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitRejected,
)
from longrun.testing import RecordingListener, Script

pytestmark = pytest.mark.anyio


async def fail(pipeline: Pipeline, times: int) -> None:
    """Let *times* calls fail."""
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await pipeline.do(Script(ConnectionError()))


def circuit_events(events: RecordingListener) -> list[CircuitEvent | CircuitRejected]:
    """Those of the circuit, without those of the attempts."""
    return [event for event in events.events if isinstance(event, CircuitEvent | CircuitRejected)]


async def test_a_whole_life_is_told_once_and_in_order(events: RecordingListener) -> None:
    """Opened, rejected, half-opened, opened for longer, half-opened, closed."""
    pipeline = Pipeline(observe(events), circuit.breaker("webhooks", threshold=2, open_for=30), name="notify")
    await fail(pipeline, 2)
    await anyio.sleep(10)
    with pytest.raises(CircuitOpen):
        await pipeline.do(Script("ok"))
    await anyio.sleep(20)
    await fail(pipeline, 1)
    await anyio.sleep(60)
    await pipeline.do(Script("ok"))

    told = circuit_events(events)
    streak, passed = "2 failures in a row", "30 s have passed"
    assert told == [
        CircuitOpened("notify", "webhooks", None, "closed", "open", streak, 30.0),
        CircuitRejected("notify", "webhooks", None, "open", pytest.approx(20.0)),
        CircuitHalfOpened("notify", "webhooks", None, "open", "half_open", passed),
        CircuitOpened("notify", "webhooks", None, "half_open", "open", "a probe failed", 60.0),
        CircuitHalfOpened("notify", "webhooks", None, "open", "half_open", "60 s have passed"),
        CircuitClosed("notify", "webhooks", None, "half_open", "closed", "a probe succeeded"),
    ]
    assert [event.name for event in told[:3]] == ["circuit.opened", "circuit.rejected", "circuit.half_opened"]
    assert told[-1].name == "circuit.closed"


async def test_calls_that_fail_together_open_it_once(events: RecordingListener) -> None:
    """Fifty failures at one instant are one transition; fifty callers when it is due, too."""
    pipeline = Pipeline(observe(events), circuit.breaker("webhooks", threshold=5, open_for=30))

    async def call() -> None:
        async def work() -> None:
            await anyio.sleep(1)
            raise ConnectionError

        with pytest.raises((ConnectionError, CircuitOpen)):
            await pipeline.do(work)

    for _ in range(2):
        async with anyio.create_task_group() as tg:
            for _ in range(50):
                tg.start_soon(call)
        await anyio.sleep(30)

    assert len(events.of(CircuitOpened)) == 2
    assert len(events.of(CircuitHalfOpened)) == 1
    assert len(events.of(CircuitRejected)) == 49


async def test_the_key_is_told(events: RecordingListener) -> None:
    """Which of the circuits it was."""
    pipeline = Pipeline(observe(events), circuit.breaker("hosts", threshold=1, key=lambda name: name))

    async def fetch(name: str) -> None:
        raise ConnectionError(name)

    with pytest.raises(ConnectionError):
        await pipeline.do(fetch, "a.test")
    with pytest.raises(CircuitOpen):
        await pipeline.do(fetch, "a.test")

    assert [event.key for event in circuit_events(events)] == ["a.test", "a.test"]


async def test_what_an_operator_does_is_told_once_to_each_listener_of_the_circuit(events: RecordingListener) -> None:
    """Two pipelines with one listener; an order that changes nothing is not told."""
    pipelines = [Pipeline(observe(events), circuit.breaker("webhooks"), name="notify") for _ in range(2)]
    assert len(pipelines) == 2

    for order in (circuit.force_open, circuit.force_open, circuit.disable, circuit.metrics_only, circuit.reset):
        order("webhooks")
    circuit.reset("webhooks")

    told = circuit_events(events)
    assert [(type(event), event.state) for event in told] == [
        (CircuitOpened, "forced_open"),
        (CircuitBypassed, "disabled"),
        (CircuitBypassed, "metrics_only"),
        (CircuitClosed, "closed"),
    ]
    assert {event.subject for event in told} == {"notify"}


async def test_a_pipeline_that_is_gone_is_told_nothing(events: RecordingListener) -> None:
    """A circuit does not keep the listeners of one-off calls alive."""
    pipeline = Pipeline(observe(events), circuit.breaker("webhooks"))
    await pipeline.do(Script("ok"))
    del pipeline

    circuit.force_open("webhooks")

    assert circuit_events(events) == []


async def test_a_listener_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The call's error comes out, the circuit opens, the defect is logged."""

    def broken(_event: object) -> None:
        raise RuntimeError("listener")

    pipeline = Pipeline(observe(broken), circuit.breaker("webhooks", threshold=1))

    await fail(pipeline, 1)
    with pytest.raises(CircuitOpen):
        await pipeline.do(Script("ok"))

    assert "failed on circuit.opened" in caplog.text
