"""On which backend the current task runs."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


def running_asyncio() -> "AbstractEventLoop | None":
    """The event loop, where the current task is one of asyncio's; None under trio, and where no task runs.

    asyncio itself is not imported for the answer: where it runs, it is there.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        loop: AbstractEventLoop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return None if asyncio.current_task(loop) is None else loop  # trio as asyncio's guest sees a loop, but no task
