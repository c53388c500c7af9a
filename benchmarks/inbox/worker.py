"""A worker process: a load and the file of a tally on the command line, ``go`` and ``stop`` on standard input."""

import json
import logging
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

import anyio
from anyio import to_thread

from benchmarks.inbox.backend import run
from benchmarks.inbox.load import Load
from benchmarks.inbox.making import make
from benchmarks.inbox.tally import Tally


def main() -> None:
    """Work until told to stop, then end at once: what is left to be torn down is nobody's figure."""
    load = Load.from_json(sys.argv[1])
    warnings.simplefilter("ignore")  # some peers use what newer Pythons deprecate
    logging.disable(logging.CRITICAL)
    run(_work, load, Tally(Path(sys.argv[2]), load.place), loop=load.loop)


async def _work(load: Load, tally: Tally) -> None:
    began = anyio.Event()
    used = 0.0

    async def go() -> None:
        nonlocal used
        print("ready", flush=True)
        await to_thread.run_sync(sys.stdin.readline)
        used = time.process_time()
        began.set()

    async def work() -> None:
        try:
            await make(load).work(tally, go)
        except Exception:  # noqa: BLE001 - told, and ended at once: nothing wakes who reads the standard input
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    async with anyio.create_task_group() as tg:
        tg.start_soon(work)
        await began.wait()
        await to_thread.run_sync(sys.stdin.readline)
        print(json.dumps({"cpu": time.process_time() - used}), flush=True)
        os._exit(0)


if __name__ == "__main__":
    main()
