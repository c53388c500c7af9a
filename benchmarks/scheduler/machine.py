"""What the process takes, and what the rest of the machine does meanwhile."""

import os
import time
from pathlib import Path

_STAT, _STATM = Path("/proc/stat"), Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def rss() -> int:
    """Bytes of this process in memory."""
    return int(_STATM.read_text().split()[1]) * _PAGE


def busy() -> float:
    """CPU seconds of the whole machine so far: user, nice, system, interrupts, and what its host took away."""
    fields = _STAT.read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[at]) for at in (0, 1, 2, 5, 6, 7)) / _TICKS


class Window:
    """A stretch of time, from its making to :meth:`close`."""

    __slots__ = ("_busy", "began", "cpu", "ended", "other", "wall")

    def __init__(self) -> None:
        self.wall = self.other = self.ended = 0.0
        self._busy = busy()
        self.began = time.perf_counter()
        self.cpu = time.process_time()

    def close(self, ended: float | None = None) -> "Window":
        """Seconds on the clock (until *ended* of ``perf_counter``), on a core, and of other processes on any core."""
        self.cpu = time.process_time() - self.cpu
        self.ended = time.perf_counter()
        whole = self.ended - self.began
        self.other = max(0.0, busy() - self._busy - self.cpu) / whole
        self.wall = whole if ended is None else ended - self.began
        return self
