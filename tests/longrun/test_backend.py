"""On which backend the current task runs."""

import asyncio
import sys

import pytest

from longrun.backend import running_asyncio


@pytest.mark.anyio
async def test_a_task_of_asyncio_gets_its_loop_and_one_of_trio_none(anyio_backend_name: str) -> None:
    """Whatever else is imported."""
    loop = running_asyncio()

    if anyio_backend_name == "trio":
        assert loop is None
    else:
        assert loop is asyncio.get_running_loop()


def test_without_a_task_there_is_none() -> None:
    """Not even an import of asyncio is needed for the answer."""
    assert running_asyncio() is None


def test_trio_as_a_guest_of_asyncio_is_trio() -> None:
    """The host's loop runs in the thread, but the task is none of its own."""
    import trio

    seen: list[object] = []

    async def guest() -> None:
        seen.append(running_asyncio())

    async def host() -> None:
        done = asyncio.get_running_loop().create_future()
        loop = asyncio.get_running_loop()
        trio.lowlevel.start_guest_run(
            guest,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            run_sync_soon_not_threadsafe=loop.call_soon,
            done_callback=done.set_result,
        )
        await done

    asyncio.run(host())

    assert seen == [None]
    assert "trio" in sys.modules
