"""One measurement, in the process that it has to itself: a load on the command line, figures on standard output."""

import json
import logging
import os
import sys
import warnings
from functools import partial

import anyio

from benchmarks.missing import NotHere
from benchmarks.scheduler.load import Load
from benchmarks.scheduler.rows import find


def main() -> None:
    """Print one line of JSON, and end at once: what is left to be torn down is nobody's figure."""
    load = Load.from_json(sys.argv[1])
    warnings.simplefilter("ignore")  # some peers use what newer Pythons deprecate
    logging.disable(logging.CRITICAL)  # rows that log switch it on again
    anyio.run(
        partial(_measure, load),
        backend="trio" if load.backend == "trio" else "asyncio",
        backend_options={"use_uvloop": True} if load.backend == "uvloop" else {},
    )


async def _measure(load: Load) -> None:
    said: dict[str, object]
    try:
        said = {"figures": await find(load.scenario, load.row).measure(load)}
    except NotHere as missing:
        said = {"missing": str(missing)}
    print(json.dumps(said), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
