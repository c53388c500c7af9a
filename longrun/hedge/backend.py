"""Lanes for the backend that is running."""

import asyncio

from longrun.hedge.asyncio_lanes import AsyncioLanes
from longrun.hedge.lanes import Lanes


def lanes() -> Lanes:
    """New lanes, for one race in the current task."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    if loop is not None and asyncio.current_task(loop) is not None:  # trio as asyncio's guest sees a loop, but no task
        return AsyncioLanes(loop)
    from longrun.hedge.trio_lanes import TrioLanes  # trio is loaded where it runs, and only there

    return TrioLanes()
