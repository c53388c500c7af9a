"""Defects that resilience libraries have been found with, and that no other file here is about."""

import os
import threading
import time
from collections.abc import Iterator

import anyio
import pytest

import longrun
from longrun import CircuitOpen, Pipeline, circuit, retry, timeout
from longrun.backoff import constant, exponential
from longrun.testing import Hang, Script, isolated

pytestmark = pytest.mark.anyio


class Flaky(Exception):
    """A failure of the test's own."""


class Fatal(Exception):
    """One that is not to be retried."""


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """No named state of one test reaches the next."""
    with isolated():
        yield


async def test_a_decorated_async_function_is_judged_by_its_outcome() -> None:
    """A breaker that takes the making of the coroutine for the call's success never opens."""
    policy = Pipeline(circuit.breaker("upstream", threshold=2))

    @policy.wrap
    async def fetch() -> None:
        raise Flaky

    for _ in range(2):
        with pytest.raises(Flaky):
            await fetch()
    with pytest.raises(CircuitOpen):
        await fetch()

    assert circuit.statistics("upstream").state == "open"


async def test_a_cancelled_call_stops_its_work() -> None:
    """A breaker that hands the work to another task lets it run on behind a caller who has gone."""
    ended: list[float] = []

    async def work() -> None:
        try:
            await anyio.sleep(60)
        finally:
            ended.append(anyio.current_time())

    begun = anyio.current_time()
    with anyio.move_on_after(3) as scope:
        await Pipeline(circuit.breaker("upstream", threshold=2)).do(work)

    assert scope.cancelled_caught
    assert ended == pytest.approx([begun + 3])


async def test_a_call_of_an_earlier_life_that_succeeds_beside_a_probe_does_not_close_the_circuit() -> None:
    """A breaker without generations takes any late success for that of its probe, and lets everybody in."""
    policy = Pipeline(circuit.breaker("upstream", threshold=1, open_for=10))
    late, probe = Script(15.0), Script(30.0)

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, late)
        await anyio.sleep(1)
        with pytest.raises(Flaky):
            await policy.do(Script(Flaky()))
        await anyio.sleep(12)
        tg.start_soon(policy.do, probe)
        await anyio.sleep(5)
        with pytest.raises(CircuitOpen):
            await policy.do(Script("too many"))
        between = circuit.statistics("upstream").state

    assert (late.calls, probe.calls) == (1, 1)
    assert between == "half_open"
    assert circuit.statistics("upstream").state == "closed"


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
async def test_the_time_an_open_circuit_tells_knows_no_time_zone(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A breaker that mixes UTC with local time tells hours for a break of a minute."""
    monkeypatch.setitem(os.environ, "TZ", zone)
    time.tzset()
    try:
        policy = Pipeline(circuit.breaker("upstream", threshold=1, open_for=60))
        with pytest.raises(Flaky):
            await policy.do(Script(Flaky()))
        with pytest.raises(CircuitOpen) as caught:
            await policy.do(Script("ok"))
    finally:
        monkeypatch.undo()
        time.tzset()

    assert caught.value.retry_after == pytest.approx(60)


async def test_a_rule_for_all_but_one_error_takes_no_cancellation() -> None:
    """A retry on "anything except" that sees a BaseException swallows the cancellation and completes the call."""
    work = Script(Hang(), "completed all the same")

    with anyio.move_on_after(3) as scope:
        await longrun.do(work, retry.on(lambda error: not isinstance(error, Fatal), 5, constant(0)))

    assert scope.cancelled_caught
    assert work.calls == 1


async def test_concurrent_calls_each_walk_the_curve_from_its_beginning() -> None:
    """A backoff kept as one iterator hands its waits round among the calls: 1-2-5, 1-3-6, 1-4-1."""
    policy = Pipeline(retry.on(Flaky, 3, exponential(1, 60, jitter=0)))
    works = [Script(Flaky(), Flaky(), Flaky(), "ok") for _ in range(3)]

    async with anyio.create_task_group() as tg:
        for work in works:
            tg.start_soon(policy.do, work)

    for work in works:
        gaps = [after - before for before, after in zip(work.started, work.started[1:], strict=False)]
        assert gaps == pytest.approx([1, 2, 4])


async def test_rules_in_three_places_of_a_pipeline_add_up() -> None:
    """Retries in three layers, four attempts each, make 64 calls of one."""
    work = Script(Flaky())
    layer = retry.on(Flaky, 3, constant(0))

    with pytest.raises(Flaky):
        await longrun.do(work, timeout.after(90), layer, timeout.after(60), layer, timeout.after(30), layer)

    assert work.calls == 4


async def test_pipelines_inside_one_another_spend_one_budget() -> None:
    """Three services deep, each with its own pipeline: what they name together bounds the storm."""
    work = Script(Flaky())
    options = (retry.budget("storm", ratio=0, floor=6), retry.on(Flaky, 3, constant(0), nested=True))
    inner, middle, outer = (Pipeline(*options) for _ in range(3))

    with pytest.raises(Flaky):
        await outer.do(lambda: middle.do(lambda: inner.do(work)))

    assert work.calls == 1 + 6


async def test_a_limit_on_the_whole_call_ends_an_attempt_that_outlives_it() -> None:
    """A deadline that is looked at between attempts only lets one attempt run five times as long."""
    begun = anyio.current_time()

    with pytest.raises(longrun.TimeoutExceeded):
        await longrun.do(Script(0.5), timeout.after(0.1), retry.on(Flaky, 3, constant(0)))

    assert anyio.current_time() - begun == pytest.approx(0.1)


async def test_a_limit_counts_from_the_call_and_not_from_where_it_was_written() -> None:
    """A limit whose deadline is set when it is made has run out before the call begins."""
    options = (retry.on(Flaky, 1, constant(0)), timeout.after(3))
    policy = Pipeline(timeout.after(5), *options)
    await anyio.sleep(60)

    assert await policy.do(Script(2.9)) == 2.9
    assert await longrun.do(Script(2.9), *options) == 2.9


async def test_a_thread_that_works_for_a_cancelled_call_is_left_in_peace() -> None:
    """An exception thrown into a pool thread can hit the next job of that thread."""
    began, go_on = anyio.Event(), threading.Event()
    jobs: list[str] = []

    def slow() -> None:
        anyio.from_thread.run_sync(began.set)
        go_on.wait(10)
        jobs.append("slow, to its end")

    async with anyio.create_task_group() as tg:
        tg.start_soon(longrun.do, longrun.blocking(slow))
        await began.wait()
        tg.cancel_scope.cancel()
        go_on.set()
    await longrun.do(longrun.blocking(lambda: jobs.append("next")))

    assert jobs == ["slow, to its end", "next"]
