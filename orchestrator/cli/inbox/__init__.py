"""``inbox``: intents are submitted, looked at and repaired, beside a running service or without one.

Parsing imports the standard library only; a command imports the inbox when it runs.
"""

import argparse
from collections.abc import Callable
from typing import cast

from orchestrator.cli.inbox import listing, purge, repair, single, stats, submit, types
from orchestrator.cli.inbox.arguments import add_url
from orchestrator.cli.inbox.interruption import leave_on_a_signal


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``inbox submit|list|show|events|cancel|retry|purge|stats|types|enable|disable``."""
    help_text = "submit intents, look at their runs, cancel, retry and purge them, switch types off"
    parser = subparsers.add_parser("inbox", help=help_text, description=help_text)
    add_url(parser)
    parser.set_defaults(needs_service=False)  # a URL will do
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (submit, listing, single, repair, purge, stats, types):
        module.add_parsers(commands)


def run(args: argparse.Namespace) -> int:
    """Run the one that was named; its exit code."""
    leave_on_a_signal()
    command = cast("Callable[[argparse.Namespace], int]", args.inbox_run)
    return command(args)
