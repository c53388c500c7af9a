"""Claims, and what a cancelled runner leaves behind, in virtual time."""

import asyncio
from typing import Any

import anyio
import pytest

from longrun.errors import StrayCancellation

pytestmark = pytest.mark.anyio


async def nothing_but_trouble() -> None:
    raise OSError("nobody listens")


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


async def test_a_job_that_has_run_is_marked_though_the_runner_is_cancelled(new_host: Any, run_for: Any) -> None:
    """Otherwise it would run a second time after the restart."""
    host = new_host(a="every 1h")
    marked = host.mark

    async def slowly(*what: Any) -> None:
        await anyio.sleep(2)
        await marked(*what)

    host.mark = slowly

    await run_for(1, host.runner().run)

    assert "a" in host.marked


async def test_two_runners_with_a_claim_never_run_the_same_fire(new_host: Any, run_for: Any) -> None:
    """Both see the same jobs at the same moments; each fire is claimed by one of them, none is left out."""
    host = new_host(a="every 10s", b="every 20s")
    for name in host.jobs:
        host.work[name] = lambda: anyio.sleep(3)
    one, other = (host.runner(claim=host.claim, interval=5) for _ in range(2))

    await run_for(118, one.run, other.run)

    assert len(set(host.fires)) == len(host.fires)
    assert host.ran().count("a") == 12
    assert host.ran().count("b") == 6
    assert one.statistics().lost + other.statistics().lost > 0


async def test_a_failed_fire_is_claimed_back_for_its_retry(new_host: Any) -> None:
    """A daily job is tried again after its backoff, not after a day."""
    host = new_host(a="@daily")
    host.work["a"] = nothing_but_trouble
    runner = host.runner(claim=host.claim)

    await runner.tick()
    retry = host.jobs["a"].fire_at
    await anyio.sleep(101)
    report = await runner.tick()

    assert retry == host.since(100)
    assert report.ids("failed") == ("a",)


async def test_a_cancelled_fire_is_given_back_at_once(new_host: Any, run_for: Any) -> None:
    """Another runner, or this one after its restart, finds it due."""
    host = new_host(a="@daily")
    host.work["a"] = anyio.sleep_forever
    runner = host.runner(claim=host.claim)

    await run_for(5, runner.run)

    assert host.jobs["a"].fire_at == host.begin
    assert runner.statistics().cancelled == 1
    assert runner.statistics().running == 0


async def test_a_claim_that_is_under_way_when_the_runner_is_cancelled_is_given_back(
    new_host: Any, run_for: Any
) -> None:
    """Nobody would know whose it is, and the fire would be lost."""
    host = new_host(a="@daily")
    claimed = host.claim

    async def slowly(*what: Any) -> bool:
        done: bool = await claimed(*what)
        await anyio.sleep(2)
        return done

    await run_for(1, host.runner(claim=slowly).run)

    assert host.jobs["a"].fire_at == host.begin
    assert "a" not in host.marked


async def test_a_claim_that_cannot_be_asked_for_is_a_failure_of_its_job(new_host: Any) -> None:
    """It does not run, and the others do."""
    host = new_host(a="every 5m", b="every 5m")
    host.answer = lambda what, name: _raise(OSError("no database")) if (what, name) == ("claim", "a") else None

    report = await host.runner(claim=host.claim).tick()

    assert report.ids("failed") == ("a",)
    assert host.ran() == ["b"]


async def test_cancelling_stops_everything_and_leaves_nothing_behind(new_host: Any, run_for: Any) -> None:
    """Jobs that run and a pass that waits for a slot: the slots are free afterwards."""
    host = new_host(a="every 5m", b="every 5m", c="every 5m")
    for name in host.jobs:
        host.work[name] = anyio.sleep_forever
    runner = host.runner(limit=2)
    await run_for(5, runner.run)
    host.work.clear()

    report = await runner.tick()

    assert sorted(report.ids("ran")) == ["a", "b", "c"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_nobody_asked_for_is_a_failure(new_host: Any, anyio_backend: str) -> None:
    """A job that awaits a future which somebody cancels does not take the runner with it."""
    host = new_host(a="every 5m", b="every 5m")

    async def await_cancelled() -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    host.work["a"] = await_cancelled

    report = await host.runner().tick()

    assert isinstance(report.outcomes[0].error, StrayCancellation)
    assert report.ids("ran") == ("b",)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_of_asyncio_is_cancelled_as_any_other(new_host: Any, anyio_backend: str) -> None:
    """run() ends with the cancellation that the task was given."""
    host = new_host(a="every 5m")
    host.work["a"] = anyio.sleep_forever
    task = asyncio.create_task(host.runner().run())
    await anyio.sleep(0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
