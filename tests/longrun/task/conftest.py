"""Fixtures for tests of a runner that goes on while it is handled."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from longrun import Runner, Task

Going = Callable[..., AbstractAsyncContextManager[Runner]]


@pytest.fixture
def going() -> Going:
    """A runner that goes on with these tasks inside the block, and is stopped without a drain behind it."""

    @asynccontextmanager
    async def going(*tasks: Task, **settings: Any) -> AsyncIterator[Runner]:
        runner = Runner(**{"keep_open": True, "on_permanent": "isolate", **settings})
        for task in tasks:
            runner.add(task)
        async with anyio.create_task_group() as tg:
            tg.start_soon(runner.run)
            await anyio.lowlevel.checkpoint()
            yield runner
            runner.stop("the test is over", drain=0)

    return going
