"""Calls that fail leave nothing to the garbage collector: errors refer to frames, and frames must not refer back."""

import gc
from collections.abc import Iterator

import anyio
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


@pytest.fixture(scope="module", autouse=True)
def _nothing_else_to_look_through() -> None:
    """What the tests before these left alive is set aside: each collection would go through all of it for nothing."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def collected() -> Iterator[None]:
    """The collector does not run by itself, and has nothing left to find."""
    gc.disable()
    gc.collect()
    yield
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


@pytest.mark.parametrize("kind", [ConnectionError, TimeoutError], ids=["not retried", "retried"])
@pytest.mark.usefixtures("collected")
async def test_a_call_that_runs_into_its_limit_leaves_no_garbage(kind: type[Exception]) -> None:
    """Neither the error of the limit nor the cancellation it came from is kept by the frame that they refer to."""
    pipeline = Pipeline(compose(retry.on(kind, 2, constant(0)), timeout.after(30)))

    async def run_out() -> bool:
        try:
            await pipeline.do(anyio.sleep_forever)
        except TimeoutError:
            return True
        return False

    assert await run_out()
    gc.collect()
    for _ in range(10):
        await run_out()

    assert gc.collect() == 0


@pytest.mark.parametrize("options", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("fails", [0, 1], ids=["at once", "after a retry"])
@pytest.mark.usefixtures("collected")
async def test_a_call_that_is_cancelled_leaves_no_garbage(options: list[Option], fails: int) -> None:
    """The cancellation goes on, and takes what it refers to with it."""
    pipeline = Pipeline(options)

    async def cancel() -> bool:
        failing = [ConnectionError()] * fails

        async def work() -> None:
            while failing:
                raise failing.pop()
            await anyio.sleep_forever()

        with anyio.move_on_after(1) as scope:
            await pipeline.do(work)
        return scope.cancelled_caught

    assert await cancel()
    gc.collect()
    for _ in range(10):
        await cancel()

    assert gc.collect() == 0


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.usefixtures("collected")
async def test_a_call_that_is_cancelled_while_it_waits_leaves_no_garbage(limited: bool) -> None:
    """The wait before a retry knows of the errors before it."""
    pipeline = Pipeline(compose(retry.on(ConnectionError, 2, constant(60)), *[timeout.after(30)] * limited))

    async def cancel() -> bool:
        scope = anyio.CancelScope()

        async def call() -> None:
            with scope:
                await pipeline.do(Script(ConnectionError))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(1)
            scope.cancel()
        return scope.cancelled_caught

    assert await cancel()
    gc.collect()
    for _ in range(10):
        await cancel()

    assert gc.collect() == 0
