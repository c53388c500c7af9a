"""What one resilient call costs, ours beside the peers': tables, JSON and a plot.

    python -m benchmarks.resilience [--quick] [--groups retry,pipeline] [--backends asyncio,trio] [--out DIRECTORY]

The peers are those of ``benchmarks/requirements.txt``; one that is not installed is left out, with a note.
"""

import argparse
import gc
import logging
import warnings
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bars import judge, lines
from benchmarks.plot import draw
from benchmarks.resilience import bars, floors, ours, peers, plot, report
from benchmarks.resilience.measure import run
from benchmarks.samples import Samples
from benchmarks.table import header, left_out, versions

BACKENDS = ("asyncio", "uvloop", "trio")


def main() -> None:
    """Measure, print, write ``resilience.json`` and ``resilience.svg``."""
    options = _options()
    warnings.simplefilter("ignore")  # some peers use what newer Pythons deprecate
    logging.disable(logging.CRITICAL)  # and none of them shall spend its time on log lines
    wanted = {"bare", *options.groups.split(",")} if options.groups else set(report.GROUPS)
    rows = [row for row in (*floors.ROWS, *ours.ROWS, *peers.ROWS) if row.group in wanted]
    backends = [name for name in options.backends.split(",") if name in BACKENDS and find_spec(name) is not None]
    repeats, milliseconds = (5, 6.0) if options.quick else (options.repeats, options.milliseconds)
    print(header(versions(report.PACKAGES)))
    samples = Samples()
    for backend in backends:
        run(rows, backend, samples, repeats=repeats, milliseconds=milliseconds, seed=options.seed)
        gc.collect()
    found = list(judge(bars.BARS, samples, backends))
    print(report.figures(rows, samples, backends, "ok"))
    print(report.figures(rows, samples, backends, "fail2"))
    print(lines(one for one in found if one.bar.group in wanted))
    print(left_out(samples.notes))
    directory = Path(options.out)
    directory.mkdir(parents=True, exist_ok=True)
    report.save(directory / "resilience.json", samples, found)
    draw(directory / "resilience.svg", plot.panels(rows, samples, backends))
    print(f"\nwritten: {directory / 'resilience.json'}, {directory / 'resilience.svg'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.resilience", description="What one resilient call costs, ours beside the peers'."
    )
    parser.add_argument("--quick", action="store_true", help="five short rounds: a first look, not a result")
    parser.add_argument("--groups", default="", help=f"some of {','.join(report.GROUPS)}")
    parser.add_argument("--backends", default=",".join(BACKENDS), help="some of asyncio,uvloop,trio")
    parser.add_argument("--repeats", type=int, default=9, help="rounds, each visiting every row once")
    parser.add_argument("--milliseconds", type=float, default=25.0, help="CPU time for a row in a round")
    parser.add_argument("--seed", type=int, default=7, help="of the order in a round")
    parser.add_argument("--out", default="var/bench", help="directory for the JSON and the plot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
