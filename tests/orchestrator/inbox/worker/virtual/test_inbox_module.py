"""The poller as a worker of a service: one run without end, which shows that it lives and ends with the service."""

import anyio
import pytest

from orchestrator.inbox.module import InboxModule

pytestmark = pytest.mark.anyio


class Run:
    """What the scheduler gives to a run, as far as this worker asks for it."""

    def __init__(self, once=False):
        self.once = once
        self.stopping = False
        self.signs = []

    def progress(self, note=None):
        self.signs.append(anyio.current_time())


def polling(inbox, poller):
    """The work of the worker ``inbox-poller``."""
    (spec,) = [
        worker.task_spec()
        for worker in InboxModule(inbox, poller).global_workers()
        if worker.task_spec().resource == "inbox-poller"
    ]
    return spec.work


async def test_it_runs_until_the_service_drains_and_shows_that_it_lives(inbox, poller_of):
    """At every round, so that a critic sees one that hangs; the handler at work may finish."""
    done = []

    async def work(run):
        await anyio.sleep(3)
        done.append(run.stopping)

    run = Run()
    async with anyio.create_task_group() as tg:
        tg.start_soon(polling(inbox, poller_of(work)), run)
        await anyio.sleep(30)
        await inbox.submit("mail.v1", 1)
        await anyio.sleep(1)
        run.stopping = True
        stopped_at = anyio.current_time()

    assert done == [True]
    assert anyio.current_time() - stopped_at < 2.5
    assert max(after - before for before, after in zip(run.signs, run.signs[1:], strict=False)) <= 2.1


async def test_once_means_what_is_due(inbox, poller_of):
    """And then it returns."""
    done = []

    async def work(run):
        done.append(run.payload)

    await inbox.submit("mail.v1", 1)
    await inbox.submit("mail.v1", 2, delay=100)

    with anyio.fail_after(10):
        await polling(inbox, poller_of(work))(Run(once=True))

    assert done == [1]


async def test_a_paused_worker_claims_no_more_and_goes_on_when_it_is_resumed(inbox, poller_of):
    """The handler at work may finish; there is one poller for all its lives."""
    done = []

    async def work(run):
        await anyio.sleep(3)
        done.append(run.payload)

    work = polling(inbox, poller_of(work, concurrency=1))
    async with anyio.create_task_group() as tg:
        first = Run()
        tg.start_soon(work, first)
        for n in range(3):
            await inbox.submit("mail.v1", n)
        await anyio.sleep(1)
        first.stopping = True
        await anyio.sleep(20)
        while_paused = list(done)
        second = Run()
        tg.start_soon(work, second)
        await anyio.sleep(20)
        second.stopping = True

    assert (while_paused, done) == ([0], [0, 1, 2])
