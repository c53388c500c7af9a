"""shed.on_latency: it refuses while the latest calls are slow, the more the more of them are."""

from random import Random

import anyio
import pytest

import longrun
from longrun import Pipeline, Shed, shed
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio


async def offer(policy: Pipeline, takes: float, seconds: float, every: float = 0.05) -> tuple[int, int]:
    """Calls at a steady rate, concurrently: how many were made, and how many were shed."""
    made = refused = 0

    async def one() -> None:
        nonlocal refused
        try:
            await policy.do(Script(takes))
        except Shed:
            refused += 1

    until = anyio.current_time() + seconds
    async with anyio.create_task_group() as tg:
        while anyio.current_time() < until:
            made += 1
            tg.start_soon(one)
            await anyio.sleep(every)
    return made, refused


async def test_slow_calls_are_shed_and_recovery_is_seen(events: RecordingListener) -> None:
    """Fast: none. Slow: up to nine of ten. Fast again: none, one window later."""
    limit = shed.on_latency(0.5, name="search")
    policy = Pipeline(longrun.observe(events), limit, name="find", rng=Random(1))

    _, fast = await offer(policy, 0.1, 20)
    await offer(policy, 0.8, 20)
    made, slow = await offer(policy, 0.8, 50)
    await offer(policy, 0.1, 11)
    _, again = await offer(policy, 0.1, 20)

    assert fast == 0
    assert 0.8 * made < slow < 0.96 * made
    assert again == 0
    assert "took longer than 0.5 s" in events.of(shed.CallShed)[0].reason
    assert limit.statistics().slow == 0


async def test_what_the_quantile_allows_may_be_slow() -> None:
    """One slow call in twenty is no reason at p90, and is one at p99."""
    relaxed, strict = shed.on_latency(0.5, name="p90"), shed.on_latency(0.5, name="p99", quantile=0.99)
    for limit in (relaxed, strict):
        policy = Pipeline(limit, rng=Random(1))
        async with anyio.create_task_group() as tg:
            for number in range(100):
                tg.start_soon(policy.do, Script(0.6 if number % 20 == 0 else 0.1))

    assert relaxed.statistics().slow == strict.statistics().slow == 5
    assert relaxed.statistics().rejection["normal"] == 0
    assert strict.statistics().rejection["normal"] == pytest.approx((0.05 - 0.01) / 0.99)


async def test_a_hanging_call_is_slow_before_it_ends_and_a_cancelled_one_never_was() -> None:
    """Under way for longer than the limit is slow; cancelled is nothing."""
    limit = shed.on_latency(1.0, name="x")
    policy = Pipeline(limit)

    async with anyio.create_task_group() as tg:
        for _ in range(20):
            tg.start_soon(policy.do, Script(Hang()))
        await anyio.sleep(0.9)
        early = limit.statistics()
        await anyio.sleep(2)
        late = limit.statistics()
        tg.cancel_scope.cancel()

    assert early.calls == 0
    assert (late.calls, late.slow) == (20, 20)
    assert late.rejection["normal"] == 0.9
    assert limit.statistics().calls == 0


async def test_a_quick_failure_says_nothing_about_latency_and_a_slow_one_does() -> None:
    """Errors that come back at once do not make a service look fast."""
    limit = shed.on_latency(1.0, name="x")
    policy = Pipeline(limit)

    async def fail_after(seconds: float) -> None:
        await anyio.sleep(seconds)
        raise KeyError

    for seconds in (0.5, 2.0):
        with pytest.raises(KeyError):
            await policy.do(fail_after, seconds)

    assert (limit.statistics().calls, limit.statistics().slow) == (1, 1)


async def test_a_few_slow_calls_are_no_overload() -> None:
    """Below the minimum nothing is refused."""
    made, refused = await offer(Pipeline(shed.on_latency(0.5, minimum=10)), 2.0, 9, every=1.0)

    assert (made, refused) == (9, 0)
