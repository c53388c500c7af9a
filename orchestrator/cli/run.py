"""``run``: both phases, until a signal, ``--for`` or the end of all work."""

import argparse
import math


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``run [--for SECONDS] [--once]``."""
    help_text = "run the service: preflights, then workers until it is stopped"
    parser = subparsers.add_parser("run", help=help_text, description=help_text)
    parser.add_argument(
        "--for", dest="seconds", type=_seconds, metavar="SECONDS", help="drain and end so long after the preflights"
    )
    parser.add_argument("--once", action="store_true", help="run each worker until it has succeeded once, then end")


def run(args: argparse.Namespace) -> int:
    """Live the service's whole life; its exit code."""
    from orchestrator.cli.living import live_run

    return live_run(args.service_type, args.config, seconds=args.seconds, once=args.once)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return value
