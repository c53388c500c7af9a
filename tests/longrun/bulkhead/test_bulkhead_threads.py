"""A named bulkhead over threads, each with an event loop of its own, in real time."""

import asyncio
import threading

import anyio
import anyio.lowlevel
import pytest

from longrun import Pipeline, bulkhead
from longrun.bulkhead import Statistics
from longrun.testing import isolated


@pytest.fixture(autouse=True)
def real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock, which all threads share, whatever tests in virtual time went before."""
    monkeypatch.setattr("longrun.clock._follow_the_loop", False)


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("trio", "trio"), ("asyncio", "trio")])
def test_one_count_over_event_loops_in_threads(backends: tuple[str, str]) -> None:
    """Never more than the limit at once over all threads; every waiter is woken in its own loop."""
    lock, running, most, done = threading.Lock(), 0, 0, 0

    async def work() -> None:
        nonlocal running, most, done
        with lock:
            running += 1
            most = max(most, running)
        await anyio.lowlevel.checkpoint()
        with lock:
            running -= 1
            done += 1

    async def main() -> None:
        policy = Pipeline(bulkhead.max(3, queue=1000, name="db"))
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tg:
                for _ in range(200):
                    tg.start_soon(policy.do, work)

    with isolated():
        threads = [threading.Thread(target=lambda b=b: anyio.run(main, backend=b)) for b in backends * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = bulkhead.max(3, queue=1000, name="db").statistics()

    assert done == 800
    assert most <= 3
    assert left == Statistics(3, 1000, running=0, queued=0)


def test_a_waiter_whose_event_loop_was_closed_is_passed_over() -> None:
    """The slot goes to the next in the queue, in a loop that is alive."""
    option = bulkhead.max(1, queue=2, name="db")

    async def hold(release: asyncio.Event) -> None:
        await release.wait()

    with isolated():
        alive, dead = asyncio.new_event_loop(), asyncio.new_event_loop()
        policy, release = Pipeline(option), asyncio.Event()
        first = alive.create_task(policy.do(hold, release))
        alive.run_until_complete(asyncio.sleep(0))
        abandoned = policy.do(asyncio.sleep, 0)
        dead_task = dead.create_task(abandoned)
        dead.run_until_complete(asyncio.sleep(0))
        dead.close()
        last = alive.create_task(policy.do(asyncio.sleep, 0, "last"))
        alive.run_until_complete(asyncio.sleep(0))
        assert option.statistics() == Statistics(1, 2, running=1, queued=2)

        release.set()
        result = alive.run_until_complete(asyncio.wait_for(last, 10))

        alive.run_until_complete(first)
        alive.close()
        assert result == "last"
        assert option.statistics() == Statistics(1, 2, running=0, queued=0)
        dead_task._log_destroy_pending = False  # type: ignore[attr-defined]  # abandoned on purpose
        abandoned.close()
        assert option.statistics() == Statistics(1, 2, running=0, queued=0)
