"""One measurement, in the process that it has to itself: a load on the command line, figures on standard output."""

import json
import logging
import os
import sys
import warnings

from benchmarks.inbox.backend import run
from benchmarks.inbox.load import Load
from benchmarks.inbox.rows import find
from benchmarks.missing import NotHere


def main() -> None:
    """Print one line of JSON, and end at once: what is left to be torn down is nobody's figure."""
    load = Load.from_json(sys.argv[1])
    warnings.simplefilter("ignore")  # some peers use what newer Pythons deprecate
    logging.disable(logging.CRITICAL)
    run(_measure, load)


async def _measure(load: Load) -> None:
    said: dict[str, object]
    try:
        said = {"figures": await find(load.scenario, load.row, load.backend).measure(load)}
    except NotHere as missing:
        said = {"missing": str(missing)}
    except Exception as error:  # noqa: BLE001 - told, and ended at once: tearing a peer down may take for ever
        said = {"missing": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(said), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
