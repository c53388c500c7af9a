"""What operators see and order: by name, by value, at once."""

import anyio
import pytest

from longrun import CircuitOpen, Pipeline, PipelineError, circuit
from longrun.testing import Hang, Script, isolated

pytestmark = pytest.mark.anyio


async def fail(pipeline: Pipeline, times: int) -> None:
    """Let *times* calls fail."""
    for _ in range(times):
        with pytest.raises(ConnectionError):
            await pipeline.do(Script(ConnectionError()))


async def test_forced_open_refuses_until_it_is_reset_however_long_that_takes() -> None:
    """No probe runs, and no time is promised."""
    pipeline = Pipeline(circuit.breaker("webhooks"))
    circuit.force_open("webhooks")
    await anyio.sleep(86_400)

    with pytest.raises(CircuitOpen, match="an operator opened it; reset it") as caught:
        await pipeline.do(Script("ok"))
    circuit.reset("webhooks")

    assert caught.value.retry_after is None
    assert await pipeline.do(Script("ok")) == "ok"


async def test_disabled_lets_everything_through_and_counts_nothing() -> None:
    """A breaker that is suspected to be wrong is taken out without a deployment."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=2))
    circuit.disable("webhooks")

    await fail(pipeline, 10)

    assert (circuit.statistics("webhooks").state, circuit.statistics("webhooks").failures) == ("disabled", 0)


async def test_metrics_only_counts_but_never_opens() -> None:
    """To try settings on live traffic."""
    pipeline = Pipeline(circuit.breaker("webhooks", minimum=2))
    circuit.metrics_only("webhooks")

    await fail(pipeline, 10)

    found = circuit.statistics("webhooks")
    assert (found.state, found.calls, found.failure_rate) == ("metrics_only", 10, 1.0)


async def test_a_reset_closes_an_open_circuit_and_forgets_its_counts() -> None:
    """What is wrong again must show itself anew."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=3))
    await fail(pipeline, 3)
    circuit.reset("webhooks")

    await fail(pipeline, 2)

    found = circuit.statistics("webhooks")
    assert (found.state, found.failures, found.openings) == ("closed", 2, 0)


async def test_calls_that_ran_when_it_was_reset_no_longer_count() -> None:
    """A reset begins a new generation, also of a closed circuit."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1))

    async def late() -> None:
        await anyio.sleep(5)
        raise ConnectionError

    async def call() -> None:
        with pytest.raises(ConnectionError):
            await pipeline.do(late)

    async with anyio.create_task_group() as tg:
        tg.start_soon(call)
        await anyio.sleep(1)
        circuit.reset("webhooks")

    assert circuit.statistics("webhooks").state == "closed"
    assert circuit.statistics("webhooks").failures == 0


async def test_an_order_in_the_middle_of_a_probe_stays() -> None:
    """The probe's success does not close what an operator has opened."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, open_for=30))
    await fail(pipeline, 1)
    await anyio.sleep(30)

    async with anyio.create_task_group() as tg:
        tg.start_soon(pipeline.do, Script(5.0))
        await anyio.sleep(1)
        circuit.force_open("webhooks")

    assert circuit.statistics("webhooks").state == "forced_open"


async def test_statistics_are_there_before_the_first_call() -> None:
    """An operator can look, and order, as soon as the breaker is written."""
    circuit.breaker("webhooks")
    circuit.breaker("archive", threshold=5)

    assert circuit.names() == ("archive", "webhooks")
    assert [(found.name, found.state, found.reason) for found in circuit.overview()] == [
        ("archive", "closed", "new"),
        ("webhooks", "closed", "new"),
    ]


async def test_statistics_count_probes_in_flight() -> None:
    """By value: what was read does not move."""
    pipeline = Pipeline(circuit.breaker("webhooks", threshold=1, open_for=30))
    await fail(pipeline, 1)
    await anyio.sleep(31)

    async with anyio.create_task_group() as tg:
        tg.start_soon(pipeline.do, Script(Hang()))
        await anyio.sleep(1)
        during = circuit.statistics("webhooks")
        tg.cancel_scope.cancel()

    assert (during.state, during.probing, during.seconds) == ("half_open", 1, pytest.approx(1))
    assert circuit.statistics("webhooks").probing == 0


@pytest.mark.parametrize(
    "order", [circuit.force_open, circuit.disable, circuit.metrics_only, circuit.reset, circuit.statistics]
)
async def test_a_name_that_is_not_known_is_refused_with_those_that_are(order) -> None:
    """A typing error in an incident must not look like success."""
    circuit.breaker("webhooks")

    with pytest.raises(PipelineError, match="no circuit is called 'webhook'; known are: webhooks"):
        order("webhook")
    with pytest.raises(PipelineError, match="'webhooks' has no keys and was asked for key 'a'"):
        order("webhooks", key="a")


async def test_isolated_hides_the_circuits_outside_and_a_pipeline_built_inside_is_new() -> None:
    """An option written at the top of a module serves every test anew."""
    option = circuit.breaker("webhooks", threshold=1)
    await fail(Pipeline(option), 1)

    with isolated():
        names = circuit.names()
        answer = await Pipeline(option).do(Script("ok"))

    assert (names, answer) == ((), "ok")
    assert circuit.statistics("webhooks").state == "open"
