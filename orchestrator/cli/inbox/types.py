"""``inbox types``, ``enable`` and ``disable``: the types that workers handle, and their switches."""

import argparse
import json

from orchestrator.cli import streams
from orchestrator.cli.inbox.arguments import add_command


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``types``, ``enable`` and ``disable``."""
    parser = add_command(commands, "types", "list the types that workers have made known")
    parser.set_defaults(inbox_run=listed)
    for name, help_text, enabled in (
        ("enable", "let workers claim runs of a type again", True),
        ("disable", "let the runs of a type wait, also those to come; those at work go on", False),
    ):
        parser = add_command(commands, name, help_text)
        parser.add_argument("type", metavar="TYPE", help="for example shop.receipt.v1")
        parser.set_defaults(inbox_run=switch, enabled=enabled)


def listed(args: argparse.Namespace) -> int:
    """Print the types; 0."""
    from orchestrator.cli.inbox import table
    from orchestrator.cli.inbox.database import with_inbox
    from orchestrator.logs.text import one_line

    types = with_inbox(args, lambda inbox: inbox.types())
    if args.json:
        shown = [{"type": each.type, "runtime": each.runtime, "enabled": each.enabled} for each in types]
        streams.write(json.dumps({"types": shown}, indent=2))
    elif types:
        rows = [(one_line(each.type), each.runtime, "enabled" if each.enabled else "disabled") for each in types]
        table.show([("TYPE", "RUNTIME", "STATE"), *rows])
    else:
        streams.say("no worker has made a type known yet")
    return 0


def switch(args: argparse.Namespace) -> int:
    """Switch the type on or off; 0."""
    from orchestrator.cli.inbox.database import with_inbox

    with_inbox(args, lambda inbox: inbox.set_enabled(args.type, args.enabled))
    if args.json:
        streams.write(json.dumps({"type": args.type, "enabled": args.enabled}, indent=2))
    else:
        streams.write(f"{args.type} {'enabled' if args.enabled else 'disabled'}")
    return 0
