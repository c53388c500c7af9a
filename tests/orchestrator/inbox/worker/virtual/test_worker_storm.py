"""The laws of the worker in a storm: random work, failures, cancellations, stops, a database that comes and goes."""

from collections import Counter
from random import Random

import anyio
import pytest

from orchestrator.contracts import PermanentFailure
from orchestrator.inbox import Handlers, Intent, Poller, State
from orchestrator.inbox.worker.limits import ROUNDING, Rate

pytestmark = pytest.mark.anyio

KINDS = ("free.v1", "two.v1", "total.v1", "rated.v1")
SLOTS = 5
#: Each takes a second or two: the quick loop is content with the first two.
SEEDS = [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))]


class Ledger:
    """What handlers did, and whether a law was broken meanwhile."""

    def __init__(self, random):
        self.random = random
        self.running = Counter()
        self.starts = []
        self.broken = []

    def handlers(self, worker):
        """Those of one process."""

        async def work(run):
            await self.handle(worker, run)

        handlers = Handlers().add("free.v1", work, timeout=50).add("two.v1", work, concurrency=2)
        return handlers.add("total.v1", work, total=3).add("rated.v1", work, rate=Rate(4, 10.0))

    async def handle(self, worker, run):
        random = self.random
        self.starts.append((worker, run.type, anyio.current_time()))
        self.running[run.id] += 1
        self.running[worker] += 1
        self.running[worker, run.type] += 1
        self.running[run.type] += 1
        self.check(self.running[run.id] == 1, f"{run.id} runs twice at once")
        self.check(self.running[worker] <= SLOTS, "more than there are slots")
        self.check(self.running[worker, "two.v1"] <= 2, "more than its concurrency")
        self.check(self.running["total.v1"] <= 3, "more than its total")
        try:
            how = random.random()
            if how < 0.5:
                await anyio.sleep(random.choice([0, 0, 0.01, 0.5, 3, 40]))
            elif how < 0.6:
                await anyio.sleep(1000 if run.type == "free.v1" else 30)
            if how > 0.8:
                raise ConnectionError("away")
            if how > 0.75:
                raise PermanentFailure("no")
        finally:
            for key in (run.id, worker, (worker, run.type), run.type):
                self.running[key] -= 1

    def check(self, holds, law):
        if not holds:
            self.broken.append(law)

    def rates_hold(self):
        """In no window of its seconds are there more starts than its times."""
        for worker in {worker for worker, _, _ in self.starts}:
            times = [at for who, kind, at in self.starts if (who, kind) == (worker, "rated.v1")]
            for first in times:
                if sum(first <= at < first + 10.0 - ROUNDING for at in times) > 4:
                    return False
        return True


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_intent_ends_once_and_no_limit_is_ever_passed(inbox, database, seed):  # noqa: C901 - one storm
    """Whatever happens meanwhile; and no slot is lost."""
    random = Random(seed)
    ledger = Ledger(random)
    database.takes = lambda: random.choice([0, 0.001, 0.01])
    ids, pollers = [], []

    async def producer():
        for _ in range(40):
            await anyio.sleep(random.random() * 4)
            with_delay = [Intent(random.choice(KINDS), 1, delay=random.choice([0, 0, 5.0])) for _ in range(6)]
            while True:
                try:
                    ids.extend(await inbox.submit_many(with_delay))
                except Exception:  # noqa: BLE001 - the database is down
                    await anyio.sleep(1)
                else:
                    break
            if random.random() < 0.5:
                try:
                    chosen = random.choice(ids)
                    if (await inbox.get(chosen)).type != "total.v1":  # its handler may outlive its place a little
                        await inbox.cancel(chosen)
                except Exception:  # noqa: BLE001 - it has ended, or the database is down
                    pass

    async def weather():
        for _ in range(4):
            await anyio.sleep(random.random() * 40)
            database.down = True
            await anyio.sleep(random.choice([0.5, 5, 45]))
            database.down = False

    async def worker(name):
        for life in range(3):
            poller = Poller(
                inbox,
                ledger.handlers(f"{name}{life}"),
                worker_id=f"{name}{life}",
                concurrency=SLOTS,
                poll_interval=random.choice([5.0, 30.0]),
                drain=random.choice([0.01, 5]),
                random=random.random,
            )
            pollers.append(poller)
            if life == 2:
                await poller.run()
            elif random.random() < 0.5:
                with anyio.move_on_after(random.random() * 60):
                    await poller.run()
            else:
                async with anyio.create_task_group() as tg:
                    tg.start_soon(poller.run)
                    await anyio.sleep(random.random() * 60)
                    poller.stop()

    async with anyio.create_task_group() as tg:
        for name in "ab":
            tg.start_soon(worker, name)
        async with anyio.create_task_group() as outside:
            outside.start_soon(producer)
            outside.start_soon(weather)
        with anyio.fail_after(20_000):
            while any(state in (State.PENDING, State.LEASED) for _, state in (await inbox.stats()).counts):  # noqa: ASYNC110 - it asks the store
                await anyio.sleep(10)
        idle = [poller.running for poller in pollers]
        for poller in pollers:
            poller.stop()

    ends = Counter()
    for run_id in ids:
        history = [event.type for event in await inbox.events(run_id)]
        ends[sum(kind in ("succeeded", "failed", "cancelled") for kind in history)] += 1
    assert ledger.broken == []
    assert ends == {1: 240}
    assert idle == [0] * 6
    assert +ledger.running == Counter()
    assert ledger.rates_hold()
    assert [gauge.held for poller in pollers for gauge in poller._routes.limits._gauges.values()] == [0] * 18
