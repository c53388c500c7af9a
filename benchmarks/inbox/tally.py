"""What handlers leave behind for the process that measures: how many have run, and when the last one started.

A file in memory, one place per worker process: to look at it costs neither side a system call, nor the database a
query.
"""

import mmap
import time
from pathlib import Path

#: Worker processes that one file has places for.
PLACES = 64
_SIZE = 16


class Tally:
    """The handlers of worker *place* of the run whose file is *path*."""

    def __init__(self, path: Path, place: int = 0) -> None:
        if not path.exists():
            path.write_bytes(bytes(PLACES * _SIZE))
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
        self._at = 2 * place

    def hit(self) -> None:
        """A handler starts. Not for several threads at once."""
        self._cells[self._at + 1] = time.perf_counter_ns()
        self._cells[self._at] += 1

    @property
    def count(self) -> int:
        """How many handlers have started in all workers."""
        return sum(self._cells[::2])

    @property
    def counts(self) -> list[int]:
        """The same for each worker that has had any."""
        return [count for count in self._cells[::2] if count]

    @property
    def last(self) -> float:
        """When the last handler started, in seconds of the clock that all processes of the machine share."""
        return max(self._cells[1::2]) / 1e9

    def reset(self) -> None:
        """Count from nothing; for a moment in which nobody runs."""
        for at in range(len(self._cells)):
            self._cells[at] = 0
