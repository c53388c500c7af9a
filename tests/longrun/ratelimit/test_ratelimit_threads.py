"""A named rate limit over threads, each with an event loop of its own, in real time."""

import asyncio
import threading
import time

import anyio
import pytest

from longrun import Pipeline, ratelimit
from longrun.testing import isolated


@pytest.fixture(autouse=True)
def real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock, which all threads share, whatever tests in virtual time went before."""
    monkeypatch.setattr("longrun.clock._follow_the_loop", False)


@pytest.mark.parametrize("backends", [("asyncio", "asyncio"), ("trio", "trio"), ("asyncio", "trio")])
def test_one_line_over_event_loops_in_threads(backends: tuple[str, str]) -> None:
    """Never more starts than the limit allows, over all threads; every waiter is woken in its own loop."""
    starts: list[float] = []

    async def work() -> None:
        starts.append(time.monotonic())

    async def main() -> None:
        policy = Pipeline(ratelimit.wait(1000, burst=20, name="api"))
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tg:
                for _ in range(50):
                    tg.start_soon(policy.do, work)

    with isolated():
        threads = [threading.Thread(target=lambda b=b: anyio.run(main, backend=b)) for b in backends * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = ratelimit.wait(1000, burst=20, name="api").statistics()

    assert len(starts) == 200
    assert max(starts) - min(starts) >= (200 - 20) / 1000 - 0.01
    assert left.queued == 0


def test_a_head_whose_event_loop_was_closed_makes_way() -> None:
    """The next in the line, in a loop that is alive, has its turn."""
    option = ratelimit.wait(20, burst=1, name="api")

    with isolated():
        alive, dead = asyncio.new_event_loop(), asyncio.new_event_loop()
        policy = Pipeline(option)
        alive.run_until_complete(policy.do(asyncio.sleep, 0))
        head = alive.create_task(policy.do(asyncio.sleep, 0))
        alive.run_until_complete(asyncio.sleep(0))
        abandoned = policy.do(asyncio.sleep, 0)
        dead_task = dead.create_task(abandoned)
        dead.run_until_complete(asyncio.sleep(0))
        dead.close()
        last = alive.create_task(policy.do(asyncio.sleep, 0, "last"))
        alive.run_until_complete(asyncio.sleep(0))
        assert option.statistics().queued == 3

        result = alive.run_until_complete(asyncio.wait_for(last, 10))

        alive.run_until_complete(head)
        alive.close()
        dead_task._log_destroy_pending = False  # type: ignore[attr-defined]  # abandoned on purpose
        abandoned.close()
        assert result == "last"
        assert option.statistics().queued == 0
