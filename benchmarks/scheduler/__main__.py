"""What keeping many interval units going costs, ours beside other designs: tables, JSON and a plot.

    python -m benchmarks.scheduler [--quick] [--rows Runner,prototype] [--scenarios idle,steady]
                                   [--backends asyncio,uvloop,trio] [--units N] [--seconds S] [--out DIRECTORY]

The peers are those of ``benchmarks/requirements.txt``; one that is not installed is left out, with a note. Linux only:
memory and the load of others are read from ``/proc``.
"""

import argparse
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from benchmarks.bars import ALL, judge, lines
from benchmarks.plot import draw
from benchmarks.samples import Samples
from benchmarks.scheduler import report
from benchmarks.scheduler.bars import BARS
from benchmarks.scheduler.rows import ROWS, SCENARIOS, Row
from benchmarks.scheduler.run import Plan, run
from benchmarks.table import header, left_out, versions


def main() -> None:
    """Measure, print, write ``scheduler.json`` and ``scheduler.svg``."""
    options = _options()
    plan = Plan.quick() if options.quick else Plan()
    if options.units:
        plan = replace(plan, units=options.units, interval=plan.interval * options.units / plan.units)
    if options.seconds:
        plan = replace(plan, seconds=options.seconds)
    scenarios = [name for name in SCENARIOS if not options.scenarios or name in options.scenarios.split(",")]
    rows = [row for row in ROWS if row.scenario in scenarios and _wanted(row, options)]
    names = options.backends or ("asyncio" if options.quick else ",".join(ALL))
    backends = [name for name in names.split(",") if name in ALL and find_spec(name) is not None]
    repeats = options.repeats or (1 if options.quick else 3)
    print(header(versions(report.PACKAGES)))
    print(
        f"{plan.units} units every {plan.interval:g} s; {plan.few} units in saturation and preflights; {repeats} rounds"
    )
    samples = Samples()
    run(rows, backends, plan, samples, repeats=repeats, seed=options.seed, tell=_tell)
    _tell("")
    for scenario in scenarios:
        for backend in backends:
            print(report.figures(rows, samples, scenario, backend), end="\n")
    found = [one for one in judge(BARS, samples, backends) if one.bar.group in scenarios]
    print(lines(found))
    print(left_out(samples.notes))
    directory = Path(options.out)
    directory.mkdir(parents=True, exist_ok=True)
    report.save(directory / "scheduler.json", samples, found, plan)
    draw(directory / "scheduler.svg", report.panels(rows, samples, backends))
    print(f"\nwritten: {directory / 'scheduler.json'}, {directory / 'scheduler.svg'}")


def _wanted(row: Row, options: argparse.Namespace) -> bool:
    if options.rows:
        return any(part.lower() in row.name.lower() for part in options.rows.split(","))
    return row.quick or not options.quick


def _tell(line: str) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scheduler", description="What keeping many interval units going costs."
    )
    parser.add_argument(
        "--quick", action="store_true", help="the main rows, a tenth of the units, one round: a first look"
    )
    parser.add_argument(
        "--rows", default="", help="rows with one of these in their names, for example Runner,prototype"
    )
    parser.add_argument("--scenarios", default="", help=f"some of {','.join(SCENARIOS)}")
    parser.add_argument("--backends", default="", help="some of asyncio,uvloop,trio; all, or asyncio in a quick run")
    parser.add_argument("--units", type=int, default=0, help="units in idle, steady and herd; the rate stays the same")
    parser.add_argument("--seconds", type=float, default=0.0, help="how long a steady load is looked at")
    parser.add_argument("--repeats", type=int, default=0, help="rounds, each measuring every row once")
    parser.add_argument("--seed", type=int, default=7, help="of the order in a round")
    parser.add_argument("--out", default="var/bench", help="directory for the JSON and the plot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
