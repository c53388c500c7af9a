"""``check``: phase 1 alone. No worker is ever called."""

import argparse


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``check [--json]``."""
    help_text = "run all preflights and report; start no worker"
    parser = subparsers.add_parser("check", help=help_text, description=help_text)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Run phase 1 and print what it came to: 0 passed, 1 failed, 3 cancelled."""
    from orchestrator.cli.living import live_check

    return live_check(args.service_type, args.config, as_json=args.json)
