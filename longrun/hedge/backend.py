"""Lanes for the backend that is running."""

import asyncio

from longrun.hedge.asyncio_lanes import AsyncioLanes
from longrun.hedge.lanes import Lanes


def lanes() -> Lanes:
    """New lanes, for one race in the current task."""
    try:
        on_asyncio = asyncio.current_task() is not None  # a trio that is asyncio's guest sees its loop, but no task
    except RuntimeError:
        on_asyncio = False
    if on_asyncio:
        return AsyncioLanes()
    from longrun.hedge.trio_lanes import TrioLanes  # trio is loaded where it runs, and only there

    return TrioLanes()
