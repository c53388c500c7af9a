"""Types with a total."""

import anyio
import pytest

from orchestrator.inbox import Rate

pytestmark = pytest.mark.anyio


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
