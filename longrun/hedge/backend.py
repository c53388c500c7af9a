"""Lanes for the backend that is running."""

from longrun.backend import running_asyncio
from longrun.hedge.asyncio_lanes import AsyncioLanes
from longrun.hedge.lanes import Lanes


def lanes() -> Lanes:
    """New lanes, for one race in the current task."""
    loop = running_asyncio()
    if loop is not None:
        return AsyncioLanes(loop)
    from longrun.hedge.trio_lanes import TrioLanes  # trio is loaded where it runs, and only there

    return TrioLanes()
