"""``inbox show`` and ``inbox events``: one run, and its history."""

import argparse
import json

from orchestrator.cli import streams
from orchestrator.cli.inbox.arguments import add_command, text


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``show`` and ``events``."""
    parser = add_command(commands, "show", "show all of a run: its payload, its result, its last error")
    parser.add_argument("id", type=text, metavar="ID", help="as submit and list print it")
    parser.set_defaults(inbox_run=show)
    parser = add_command(commands, "events", "list what happened to a run, oldest first")
    parser.add_argument("id", type=text, metavar="ID", help="as submit and list print it")
    parser.set_defaults(inbox_run=events)


def show(args: argparse.Namespace) -> int:
    """Print the run; 0, and 1 when there is none."""
    from datetime import UTC, datetime

    from orchestrator.cli.inbox import shown
    from orchestrator.cli.inbox.database import with_inbox

    run = with_inbox(args, lambda inbox: inbox.get(args.id))
    if args.json:
        streams.write(json.dumps(shown.run_json(run), indent=2))
    else:
        for line in shown.run_lines(run, datetime.now(UTC)):
            streams.write(line)
    return 0


def events(args: argparse.Namespace) -> int:
    """Print the events of the run; 0, and 1 when there is none."""
    from datetime import UTC, datetime

    from orchestrator.cli.inbox import shown, table
    from orchestrator.cli.inbox.database import with_inbox

    found = with_inbox(args, lambda inbox: inbox.events(args.id))
    if args.json:
        streams.write(json.dumps({"events": [shown.event_json(each) for each in found]}, indent=2))
    else:
        table.show(shown.event_rows(found, datetime.now(UTC)))
    return 0
