"""Rounds beside one another: of a deep backlog, and never of little."""

import anyio
import pytest

from orchestrator.inbox import Handlers, Intent, Poller
from orchestrator.inbox.worker import poller as poller_module
from orchestrator.inbox.worker.agenda import BESIDE
from orchestrator.inbox.worker.rounds import Units

pytestmark = pytest.mark.anyio


class Defect(BaseException):
    """Nothing that a handler or a database says."""


class Slow(Units):
    """A database that takes a second for each round, and two of them at a time."""

    most = 2

    def __init__(self, database):
        super().__init__(database)
        self.sizes = []
        self.beside = []
        self.at_work = self.largest = 0
        self.defect = None

    async def __call__(self, work):
        if self.defect is not None:
            raise self.defect
        self.sizes.append((len(work.ended), 0 if work.request is None else work.request.limit))
        self.beside += [work.size] if self.at_work and work.is_turn else []
        self.at_work += 1
        self.largest = max(self.largest, self.at_work)
        await anyio.sleep(1)
        try:
            return await super().__call__(work)
        finally:
            self.at_work -= 1


@pytest.fixture
def slow(database, monkeypatch):
    """The rounds of every poller."""
    made = Slow(database)
    monkeypatch.setattr(poller_module, "rounds", lambda *_: made)
    return made


async def test_of_a_backlog_two_rounds_are_carried_out_at_a_time(inbox, poller_of, slow):
    """While the database does one, the handlers of the other are at work; each run is done once."""
    done = []

    async def work(run):
        done.append(run.payload)

    await inbox.submit_many([Intent("mail.v1", number) for number in range(5000)])
    began = anyio.current_time()
    await poller_of(work, concurrency=250).poll()

    assert sorted(done) == list(range(5000))
    assert slow.largest == 2
    assert min(slow.beside) >= BESIDE
    assert anyio.current_time() - began < 21  # twenty batches, one after another, and the last of the outcomes


async def test_what_is_little_waits_for_the_round_that_is_under_way(inbox, poller_of, slow, during):
    """And goes with the next one: fewer transactions for the same work. What is due by the clock waits for nobody."""

    async def work(run):
        await anyio.sleep(0.01)

    async with during(poller_of(work, concurrency=10)):
        for number in range(100):
            await inbox.submit("mail.v1", number)
            await anyio.sleep(0.1)

    assert all(size >= BESIDE for size in slow.beside)
    assert max(ended for ended, _ in slow.sizes) >= 5


async def test_claims_under_a_limit_are_made_one_after_another(inbox, slow):
    """What another claim is about to bring counts as well."""
    at_work, most = 0, 0

    async def work(run):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await anyio.sleep(0.01)
        at_work -= 1

    await inbox.submit_many([Intent("mail.v1", number) for number in range(700)])
    await Poller(inbox, Handlers().add("mail.v1", work, concurrency=200), concurrency=500).poll()

    assert most == 200
    claims = [limit for _, limit in slow.sizes if limit]
    assert len(claims) >= 4


async def test_a_defect_in_a_round_ends_the_poller_and_is_seen(inbox, poller_of, slow):
    """It is not lost with the task in which it came up."""

    async def work(run):
        raise AssertionError("nothing was claimed")

    slow.defect = Defect()
    with pytest.raises(BaseException) as seen:
        await poller_of(work).run()

    assert set(leaves(seen.value)) == {Defect}


async def test_a_defect_beside_a_handler_ends_the_poller_and_is_seen(inbox, poller_of):
    """So is one of what is told of each run."""

    async def work(run):
        """Nothing."""

    def defective(kind, waited):
        raise Defect

    poller = poller_of(work)
    poller.statistics.picked_up = defective
    await inbox.submit("mail.v1", 1)
    with pytest.raises(BaseException) as seen:
        await poller.run()

    assert leaves(seen.value) == [Defect]


def leaves(error):
    """The classes of the errors in a group."""
    if isinstance(error, BaseExceptionGroup):
        return [kind for part in error.exceptions for kind in leaves(part)]
    return [type(error)]
