"""Calls at the edge: what raises before it waits, what will not be cancelled, many keys, copies, a clock begun anew."""

import copy
import gc
import pickle
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

import anyio
import pytest

import longrun
from longrun import (
    BulkheadFull,
    CircuitOpen,
    Option,
    Pipeline,
    RateLimited,
    Shed,
    bulkhead,
    circuit,
    fallback,
    hedge,
    ratelimit,
    retry,
    shed,
    timeout,
)
from longrun.backoff import constant
from longrun.testing import Script, isolated, run_virtual


class Flaky(Exception):
    """A failure of the test's own."""


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """No named state of one test reaches the next."""
    with isolated():
        yield


def every_option() -> dict[str, Option]:
    """One of each kind, with the state that has a name named."""
    return {
        "retry": retry.on(Flaky, 2, constant(0)),
        "result": retry.on_result(lambda value: value is None, 2, constant(0)),
        "timeout": timeout.after(5),
        "fused": [retry.on(Flaky, 2, constant(0)), timeout.after(5)],
        "budget": [retry.budget("extra"), retry.on(Flaky, 2, constant(0))],
        "circuit": circuit.breaker("upstream", threshold=100),
        "bulkhead": bulkhead.max(1, name="slots"),
        "ratelimit": ratelimit.wait(100, name="starts"),
        "hedge": hedge.after(1),
        "fallback": fallback.to("instead", on=KeyError),
        "throttle": shed.throttle(),
        "adaptive": shed.adaptive(),
        "latency": shed.on_latency(5),
    }


@pytest.mark.anyio
@pytest.mark.parametrize("kind", every_option())
async def test_what_raises_before_there_is_anything_to_await_is_a_failure_like_any_other(kind: str) -> None:
    """A plain function may raise while it makes its awaitable; the very error comes out and no place stays taken."""
    error = Flaky("too early")
    policy = Pipeline(every_option()[kind])

    def early() -> Awaitable[str]:
        raise error

    for _ in range(3):
        with pytest.raises(Flaky) as caught:
            await policy.do(early)
        assert caught.value is error

    assert await policy.do(Script("ok")) == "ok"


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [kind for kind in every_option() if kind != "hedge"])
async def test_an_answer_that_ignores_its_cancellation_still_comes_out(kind: str) -> None:
    """Who catches the cancellation and answers all the same has answered; the call is over and holds nothing.

    A hedge may give such an answer away: its caller was cancelled, and a race has its own rules for that.
    """
    policy = Pipeline(timeout.after(9), every_option()[kind], name="deaf")

    async def deaf() -> str:
        try:
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class():
            return "late"
        return "in time"

    assert await policy.do(deaf) == "late"
    assert await policy.do(Script("ok")) == "ok"


@pytest.mark.slow
def test_a_hundred_thousand_keys_take_the_memory_of_as_many_as_are_kept() -> None:
    """The circuits used last stay, the others are gone from memory."""
    policy = Pipeline(circuit.breaker("hosts", threshold=1, max_keys=500, key=lambda host: host))

    async def fetch(host: int) -> int:
        return host

    async def main() -> None:
        for host in range(100_000):
            await policy.do(fetch, host)

    run_virtual(main)

    assert {found.key for found in circuit.overview("hosts")} == set(range(99_500, 100_000))
    gc.collect()
    kept = [each for each in gc.get_objects() if type(each).__name__ == "Circuit" and each.name == "hosts"]
    assert len(kept) == 500


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_state_that_meets_a_clock_begun_anew_is_neither_stuck_nor_lost(backend: str) -> None:
    """A service's pipelines live longer than an event loop, whose clock may begin again at nought."""
    policy = Pipeline(
        retry.budget("extra", ratio=0, floor=1),
        retry.on(Flaky, 1, constant(0)),
        bulkhead.max(1),
        ratelimit.wait(1, 10, burst=1),
        circuit.breaker("upstream", threshold=9, open_for=30),
        shed.throttle(),
    )

    async def after(seconds: float) -> float:
        await anyio.sleep(seconds)
        begun = anyio.current_time()
        assert await policy.do(Script(Flaky(), "ok")) == "ok"
        return anyio.current_time() - begun

    assert run_virtual(after, 100_000.0, backend=backend) == pytest.approx(10)
    assert run_virtual(after, 0.0, backend=backend) <= 20


@pytest.mark.anyio
async def test_a_copy_of_a_pipeline_is_the_same_pipeline_to_what_it_protects() -> None:
    """A second handle gives no second helping of slots."""
    policy = Pipeline(bulkhead.max(1))
    twin = copy.copy(policy)

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Script(5.0))
        await anyio.sleep(1)
        with pytest.raises(BulkheadFull):
            await twin.do(Script("ok"))


@pytest.mark.anyio
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
async def test_a_copy_of_a_named_option_means_the_same_state(copied: Any) -> None:
    """The name is what counts, as if it had been written twice."""
    option = circuit.breaker("upstream", threshold=1)
    one, other = Pipeline(option), Pipeline(copied(option))

    with pytest.raises(Flaky):
        await one.do(Script(Flaky()))

    with pytest.raises(CircuitOpen):
        await other.do(Script("ok"))


@pytest.mark.parametrize("kind", [CircuitOpen, BulkheadFull, RateLimited, Shed])
def test_a_refusal_survives_the_way_between_processes(kind: type[longrun.Rejected]) -> None:
    """Message and seconds arrive; what was tried before stays behind only if it must."""
    arrived = pickle.loads(pickle.dumps(kind("not now", 3.5)))

    assert type(arrived) is kind
    assert str(arrived) == "not now"
    assert arrived.retry_after == 3.5


async def counted_to_three() -> AsyncIterator[int]:
    """A stream."""
    for number in range(3):
        yield number


@pytest.mark.anyio
async def test_a_stream_is_repeated_by_nobody_once_an_item_is_out() -> None:
    """What is called is the making of a stream; its items are the caller's, and no option stands between."""
    made = 0

    async def opened() -> AsyncIterator[int]:
        nonlocal made
        made += 1
        if made == 1:
            raise Flaky
        return counted_to_three()

    stream = await longrun.do(opened, retry.on(Flaky, 3, constant(0)), timeout.after(5))

    assert [item async for item in stream] == [0, 1, 2]
    assert made == 2
