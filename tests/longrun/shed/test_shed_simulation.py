"""shed.adaptive before a service with a capacity, in virtual time: it finds the capacity, and keeps the queue short."""

from contextlib import suppress
from random import Random

import anyio
import pytest

from longrun import Pipeline, Shed, shed

pytestmark = pytest.mark.anyio


class Client:
    """Calls arriving at a rate, whatever becomes of the earlier ones."""

    def __init__(self, policy: Pipeline, server) -> None:
        self.policy = policy
        self.server = server
        self.latencies: list[float] = []
        self.refused = 0
        self.rng = Random(7)

    async def offer(self, per_second: float, seconds: float) -> None:
        """Poisson arrivals for so long; what is still under way then is cut off."""
        self.latencies.clear()
        until = anyio.current_time() + seconds
        async with anyio.create_task_group() as tg:
            while anyio.current_time() < until:
                tg.start_soon(self._one)
                await anyio.sleep(self.rng.expovariate(per_second))
            tg.cancel_scope.cancel()

    async def _one(self) -> None:
        began = anyio.current_time()
        try:
            await self.policy.do(self.server)
        except Shed:
            self.refused += 1
        else:
            self.latencies.append(anyio.current_time() - began)


@pytest.mark.parametrize(("capacity", "warm_up"), [(1, 400), (5, 200), (20, 120)])
@pytest.mark.slow
async def test_it_converges_near_the_capacity_and_keeps_latency_bounded(server, capacity: int, warm_up: int) -> None:
    """At twice the capacity: nearly all of it is used, and a call takes at most some 1.25 turns plus four calls.

    The fewer calls end in a second, the longer it takes to learn from them.
    """
    limit = shed.adaptive(name="x")
    service = server(capacity, 0.5)
    client = Client(Pipeline(limit, rng=Random(1)), service)
    await client.offer(4 * capacity, warm_up)
    service.served = 0

    await client.offer(4 * capacity, 120)

    assert service.served >= 0.9 * capacity * 240
    assert capacity <= limit.statistics().room[1] <= 1.25 * capacity + 7
    assert sorted(client.latencies)[int(len(client.latencies) * 0.99)] <= 0.5 * (1.25 + 5 / capacity) + 0.5
    assert limit.statistics().baseline == pytest.approx(0.5, rel=0.3)


@pytest.mark.slow
async def test_without_it_latency_explodes(server) -> None:
    """The same load without a limit: the queue grows for as long as it lasts."""
    client = Client(Pipeline(), server(20, 0.5))

    await client.offer(80, 80)

    assert client.latencies[-1] > 30


@pytest.mark.slow
async def test_mild_overload_does_not_let_the_limit_creep_up(server) -> None:
    """A tenth too much for ten minutes: the lasting queue does not become the normal state."""
    limit = shed.adaptive(name="x")
    client = Client(Pipeline(limit, rng=Random(1)), server(10, 0.5))
    seen: list[int] = []

    for _ in range(10):
        await client.offer(22, 60)
        seen.append(limit.statistics().limit)

    assert max(seen[2:]) <= 1.25 * 10 / 0.8 + 12
    assert limit.statistics().baseline == pytest.approx(0.5, rel=0.1)


@pytest.mark.slow
async def test_after_an_overload_the_limit_does_not_stick_at_the_bottom(server) -> None:
    """Five minutes of time-outs bring it to 1; it is back when the service is."""
    limit = shed.adaptive(name="x")
    policy = Pipeline(limit, rng=Random(1))

    async def times_out() -> None:
        await anyio.sleep(2)
        raise TimeoutError

    async def outage() -> None:
        for _ in range(300):
            for _ in range(20):
                tg.start_soon(hit)
            await anyio.sleep(1)

    async def hit() -> None:
        with suppress(TimeoutError, Shed):
            await policy.do(times_out)

    async with anyio.create_task_group() as tg:
        await outage()
    bottom = limit.statistics().limit
    client = Client(policy, server(20, 0.5))
    await client.offer(60, 120)

    assert bottom == 1
    assert limit.statistics().limit >= 20


@pytest.mark.slow
async def test_a_service_that_has_become_slower_for_good_is_believed(server) -> None:
    """Four times as slow at the same capacity: first the limit falls, then the new latency is the normal one."""
    limit = shed.adaptive(name="x")
    service = server(20, 0.1)
    client = Client(Pipeline(limit, rng=Random(1)), service)
    await client.offer(220, 60)
    service.takes = 0.4

    await client.offer(75, 20)
    fallen = limit.statistics().limit
    await client.offer(75, 120)

    assert fallen < 20
    assert limit.statistics().limit >= 20
    assert limit.statistics().baseline == pytest.approx(0.4, rel=0.15)
