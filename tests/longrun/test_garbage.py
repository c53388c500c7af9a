"""Calls that fail leave nothing to the garbage collector: errors refer to frames, and frames must not refer back."""

import gc
from collections.abc import Iterator

import pytest

from longrun import Option, Pipeline, circuit, compose, retry, timeline, timeout
from longrun.backoff import constant
from longrun.testing import Script

pytestmark = pytest.mark.anyio

TWICE = retry.on(ConnectionError, 2, constant(0))
LAYERS = {
    "retry": compose(TWICE),
    "a limit for each attempt": compose(TWICE, timeout.after(30)),
    "a breaker": compose(TWICE, timeout.after(30), circuit.breaker("garbage", minimum=10**6)),
}


@pytest.fixture
def collected() -> Iterator[None]:
    """The collector does not run by itself, and looks only at what comes from here on."""
    gc.disable()
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
@pytest.mark.usefixtures("collected")
async def test_a_call_that_recovers_leaves_no_garbage(options: list[Option]) -> None:
    """Its errors are freed with the call."""
    pipeline = Pipeline(options)
    await pipeline.do(Script(ConnectionError, ConnectionError, "ok"))
    gc.collect()

    for _ in range(10):
        await pipeline.do(Script(ConnectionError, ConnectionError, "ok"))

    assert gc.collect() == 0


@pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
@pytest.mark.usefixtures("collected")
async def test_a_call_that_gives_up_leaves_no_garbage(options: list[Option]) -> None:
    """Its error keeps the attempts, and does not refer to itself by them."""
    pipeline = Pipeline(options)

    async def fail() -> int:
        try:
            await pipeline.do(Script(ConnectionError))
        except ConnectionError as error:
            return len([attempt.error for attempt in timeline(error)])
        return 0

    assert await fail() == 3
    gc.collect()
    for _ in range(10):
        await fail()

    assert gc.collect() == 0
