"""Worker processes of a system, from the side of the process that measures."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import anyio
from anyio import to_thread

from benchmarks.inbox.ground import memory
from benchmarks.inbox.load import Load
from benchmarks.inbox.tally import Tally
from benchmarks.missing import NotHere


class Crew:
    """Workers that are connected and wait for :meth:`go`."""

    def __init__(self, processes: list["subprocess.Popen[str]"], tally: Tally, errors: Path) -> None:
        self._processes = processes
        self._errors = errors
        self.tally = tally

    def go(self) -> None:
        """The clock runs."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    def ready(self) -> None:
        """Wait until each of them is. Raises NotHere with what a worker says that cannot."""
        for process in self._processes:
            assert process.stdout is not None
            said = process.stdout.readline().strip()
            if said != "ready":
                raise NotHere(self._last_words() or said or "a worker ended")

    async def until(self, over: Callable[[], bool], patience: float, every: float = 0.001) -> None:
        """Wait until it is *over*, asked *every* so many seconds. TimeoutError after *patience* seconds.

        Raises NotHere when a worker has ended, who would be waited for in vain.
        """
        with anyio.fail_after(patience):
            while not over():
                for process in self._processes:
                    if process.poll() is not None:
                        raise NotHere(f"a worker ended with {process.returncode}: {self._last_words()}")
                await anyio.sleep(every)

    def memory(self) -> float:
        """MiB of the largest of them."""
        return max(memory(process.pid) for process in self._processes)

    async def dismiss(self) -> float:
        """End them; the CPU seconds that they have used since :meth:`go`."""
        return await to_thread.run_sync(self._dismiss)

    def _dismiss(self) -> float:
        used = 0.0
        for process in self._processes:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("stop\n")
            process.stdin.flush()
            used += float(json.loads(process.stdout.readline())["cpu"])
        return used

    def _last_words(self) -> str:
        said = [line.strip(" |+-") for line in self._errors.read_text().splitlines() if line.strip(" |+-")]
        return said[-1][:200] if said else ""


@contextmanager
def crew(load: Load) -> Iterator[Crew]:
    """The workers of *load*, gone when the block is."""
    path = load.file(f"tally-{time.monotonic_ns()}")
    tally = Tally(path)
    errors = load.file("errors")
    processes: list[subprocess.Popen[str]] = []
    try:
        with errors.open("a") as heard:
            for place in range(load.workers):
                words = [replace(load, place=place).to_json(), str(path)]
                process = subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.inbox.worker", *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=heard,
                    text=True,
                    start_new_session=True,
                )
                processes.append(process)
        yield Crew(processes, tally, errors)
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # some have processes of their own
            process.wait()
        path.unlink(missing_ok=True)
