"""Fixtures for longrun's own tests: every async test below runs in virtual time, on asyncio and on trio."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from longrun import Baseline, Outcome, Policy, Runner, Task
from longrun.backoff import exponential
from longrun.testing import RecordingListener, virtual_backend


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both backends with a clock that jumps: hours of backoff take milliseconds."""
    return virtual_backend(request.param)


@pytest.fixture
def events() -> RecordingListener:
    """A listener that keeps what it hears."""
    return RecordingListener()


@pytest.fixture
def exact() -> Baseline:
    """The default baseline without jitter, so that waits can be written down."""
    return Baseline(
        node=Policy(exponential(2, 120, jitter=0)),
        service=Policy(exponential(5, 300, jitter=0)),
        degraded=Policy(exponential(30, 300, jitter=0)),
    )


@pytest.fixture
def run_for() -> Callable[..., Awaitable[Outcome]]:
    """Run tasks in a runner and stop it after so many seconds of virtual time, cutting off what still runs."""

    async def run_for(length: float, *tasks: Task, **settings: Any) -> Outcome:
        runner = Runner(**settings)
        for task in tasks:
            runner.add(task)

        async def stop_later() -> None:
            await anyio.sleep(length)
            runner.stop("the test is over", drain=0)

        async with anyio.create_task_group() as tg:
            tg.start_soon(stop_later)
            outcome = await runner.run()
            tg.cancel_scope.cancel()
        return outcome

    return run_for
