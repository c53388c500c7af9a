"""block: the event loop stands still, in virtual time."""

import sys

from longrun.backend import running_asyncio
from longrun.clock import standstill
from longrun.durations import Duration
from longrun.durations import seconds as checked
from longrun.testing.clock import VirtualLoop


def block(seconds: Duration) -> None:
    """As if the event loop stood still for so many *seconds*, like in a long computation or a synchronous call.

    The clock jumps, and nobody gets to run meanwhile; whatever was due in this time is late. Call it from a task, under
    ``run_virtual``. RuntimeError in real time, where ``time.sleep`` does the same; ValueError for a length that is not
    finite and above 0.
    """
    length = checked(seconds, "block seconds")
    if not _jump(length):
        raise RuntimeError("block() needs virtual time: run the test with run_virtual, or use time.sleep")
    for tell in tuple(standstill):
        tell(length)


def _jump(seconds: float) -> bool:
    """Whether there was a clock that can."""
    loop = running_asyncio()
    if isinstance(loop, VirtualLoop):
        loop.jump(seconds)
        return True
    trio = sys.modules.get("trio")  # it is there if it runs
    if trio is None or not trio.lowlevel.in_trio_run():
        return False
    jump = getattr(trio.lowlevel.current_clock(), "jump", None)
    if jump is not None:
        jump(seconds)
    return jump is not None
