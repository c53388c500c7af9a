"""Types with a total while another worker claims of them, and may be frozen at it."""

from dataclasses import replace
from itertools import pairwise

import anyio
import pytest

from orchestrator.inbox import Handlers, Rate
from orchestrator.inbox.store.sqlite.store import SqliteStore
from tests.orchestrator.inbox.worker.virtual.conftest import now

pytestmark = pytest.mark.anyio


class Contended(SqliteStore):
    """As a server's while another worker is *frozen* in its claim: what it claims of is left out."""

    def __init__(self):
        super().__init__(now)
        self.frozen = frozenset({"mail.v1"})
        self.looks = []

    def turn(self, connection, outcomes, request):
        if request is None:
            return super().turn(connection, outcomes, None)
        self.looks.append(anyio.current_time())
        within = replace(request, caps={**request.caps, **dict.fromkeys(self.frozen, 0)})
        return replace(super().turn(connection, outcomes, within), contended=self.frozen)


@pytest.fixture
def store(inbox):
    inbox.store = Contended()
    return inbox.store


@pytest.fixture
def started():
    """The times at which runs of each type began."""
    return {"mail.v1": [], "other.v1": []}


@pytest.fixture
def handlers(started):
    async def work(run):
        started[run.type].append(anyio.current_time())

    return Handlers().add("mail.v1", work, total=1).add("other.v1", work, total=1)


async def test_what_was_left_out_is_claimed_in_a_moment_and_holds_up_nothing_else(
    inbox, store, poller_of, during, handlers, started
):
    """Nobody tells when the other worker has done; the next look by the clock is in a quarter of an hour."""
    await inbox.submit("mail.v1", 1)
    await inbox.submit("other.v1", 1)
    async with during(poller_of(handlers, poll_interval=1000)):
        await anyio.sleep(0.03)
        store.frozen, freed = frozenset(), anyio.current_time()
        await anyio.sleep(1)

    assert started["other.v1"][0] < freed
    assert freed < started["mail.v1"][0] < freed + 0.1


async def test_a_worker_that_stays_frozen_is_asked_after_less_and_less_often(
    inbox, store, poller_of, during, handlers, started
):
    """A few times per second, and never in a hurry; and its type is claimed within a second when it is free."""
    await inbox.submit("mail.v1", 1)
    async with during(poller_of(handlers, poll_interval=1000)):
        await anyio.sleep(20)
        looks = list(store.looks)
        store.frozen, freed = frozenset(), anyio.current_time()
        await anyio.sleep(2)

    waits = [later - earlier for earlier, later in pairwise(looks)]
    assert min(waits) >= 0.01
    assert max(waits) <= 1
    assert 20 <= len(looks) <= 60
    assert freed < started["mail.v1"][0] < freed + 1


async def test_workers_that_were_left_out_together_look_again_at_different_times(
    inbox, store, poller_of, during, handlers
):
    """Or they would meet again and again."""
    chances = iter([0.0, 0.25, 0.75, 1.0] * 10)
    pollers = [poller_of(handlers, poll_interval=1000, worker_id=name, random=lambda: next(chances)) for name in "abcd"]
    async with during(*pollers):
        await anyio.sleep(0.04)

    assert len({round(look, 3) for look in store.looks[4:8]}) == 4


async def test_a_poll_ends_when_what_was_left_out_is_done(inbox, store, poller_of, handlers):
    """It is due; only an empty claim means that nothing is."""
    for number in range(2):
        await inbox.submit("mail.v1", number)
    counts = []
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tg:

            async def poll():
                counts.append(await poller_of(handlers, poll_interval=1000).poll())

            tg.start_soon(poll)
            await anyio.sleep(5)
            assert counts == []
            store.frozen = frozenset()

    assert counts == [2]


async def test_a_type_with_a_total_and_a_rate_is_not_polled_in_a_hurry(inbox, database, poller_of, during):
    """What its rate would allow is no reason to look when nothing was left behind for it."""

    async def work(run):
        pass

    await inbox.submit("mail.v1", 1)
    async with during(poller_of(work, total=2, rate=Rate(5, 60), poll_interval=2)):
        await anyio.sleep(60)

    assert database.transactions < 60


async def test_a_type_with_a_total_and_a_rate_goes_on_when_its_rate_lets_it(inbox, poller_of, during):
    """To the second, without a look by the clock."""
    started = []

    async def work(run):
        started.append(anyio.current_time())

    for number in range(4):
        await inbox.submit("mail.v1", number)
    began = anyio.current_time()
    async with during(poller_of(work, total=9, rate=Rate(2, 10), poll_interval=1000)):
        await anyio.sleep(15)

    assert [round(at - began) for at in started] == [0, 0, 10, 10]
