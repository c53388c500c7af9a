"""What the inbox costs, ours beside other queues and beside bare SQL: tables, JSON and a plot.

    python -m benchmarks.inbox [--quick] [--rows longrun,pgqueuer] [--scenarios drain,submit] [--repeats N]
                               [--backends postgres,sqlite] [--count N] [--out DIRECTORY]

It starts a PostgreSQL of its own with the server's defaults, every commit on the disk, or takes that of
``$TEST_PG_DSN``, whose user may create databases and checkpoints. The peers are those of
``benchmarks/inbox/requirements.txt``; one that is not installed is left out, with a note. Linux only: CPU time and
memory are read from ``/proc``.
"""

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.bars import judge, lines
from benchmarks.inbox import report
from benchmarks.inbox.bars import BARS
from benchmarks.inbox.rows import BACKENDS, POSTGRES, ROWS, SCENARIOS, Row
from benchmarks.inbox.run import Plan, run
from benchmarks.inbox.server import server
from benchmarks.missing import NotHere
from benchmarks.plot import draw
from benchmarks.samples import Samples
from benchmarks.table import header, left_out, versions


def main() -> None:
    """Measure, print, write ``inbox.json`` and ``inbox.svg``."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the server ends with the run
    plan = Plan.quick() if options.quick else Plan()
    if options.count:
        plan = replace(plan, drain=options.count)
    scenarios = [name for name in SCENARIOS if not options.scenarios or name in options.scenarios.split(",")]
    backends = [name for name in BACKENDS if name in options.backends.split(",")]
    rows = [row for row in ROWS if row.scenario in scenarios and row.backend in backends and _wanted(row, options)]
    repeats = options.repeats or (1 if options.quick else 3)
    print(header(versions(report.PACKAGES)))
    samples = Samples()
    with ExitStack() as stack:
        stood_on: dict[str, object] = {"load_before": os.getloadavg()}
        found_server = None
        if POSTGRES in backends:
            try:
                found_server = stack.enter_context(server())
                stood_on["server"] = found_server.said()
            except NotHere as missing:
                stood_on["server"] = f"none: {missing}"
            print(stood_on["server"])
        print(f"{plan.drain} intents (slow systems fewer); {repeats} rounds")
        run(rows, found_server, plan, samples, repeats=repeats, seed=options.seed, tell=_tell)
        _tell("")
    stood_on["load_after"] = os.getloadavg()
    for scenario in scenarios:
        for backend in backends:
            print(report.figures(rows, samples, scenario, backend), end="\n")
    found = [one for one in judge(BARS, samples, backends) if one.bar.group in scenarios]
    print(lines(found))
    print(left_out(samples.notes))
    print(f"\nload after the run: {os.getloadavg()[0]:.2f}")
    directory = Path(options.out)
    directory.mkdir(parents=True, exist_ok=True)
    report.save(directory / "inbox.json", samples, found, plan, stood_on)
    draw(directory / "inbox.svg", report.panels(rows, samples))
    print(f"written: {directory / 'inbox.json'}, {directory / 'inbox.svg'}")


def _wanted(row: Row, options: argparse.Namespace) -> bool:
    if options.rows:
        return any(part.lower() in row.name.lower() for part in options.rows.split(","))
    return row.quick or not options.quick


def _tell(line: str) -> None:
    """Progress: on one line of a terminal, else in lines."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    elif line:
        print(line, file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.inbox", description="What the inbox costs, beside other queues and bare SQL."
    )
    parser.add_argument("--quick", action="store_true", help="the main rows, a tenth of all, one round: a first look")
    parser.add_argument("--rows", default="", help="rows with one of these in their names, as longrun,floor")
    parser.add_argument("--scenarios", default="", help=f"some of {','.join(SCENARIOS)}")
    parser.add_argument("--backends", default=",".join(BACKENDS), help="some of postgres,sqlite")
    parser.add_argument("--count", type=int, default=0, help="intents in a drain and a bulk submit")
    parser.add_argument("--repeats", type=int, default=0, help="rounds, each measuring every row once")
    parser.add_argument("--seed", type=int, default=7, help="of the order in a round")
    parser.add_argument("--out", default="var/bench", help="directory for the JSON and the plot")
    return parser.parse_args()


if __name__ == "__main__":
    main()
