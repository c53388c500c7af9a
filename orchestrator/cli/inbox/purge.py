"""``inbox purge``: runs that ended long ago, with their events, are deleted for good."""

import argparse
import json
import sys

from orchestrator.cli import streams
from orchestrator.cli.failures import FAILED
from orchestrator.cli.inbox.arguments import ENDED, add_command, duration

_EXAMPLES = """\
  inbox purge --older-than 30d
  inbox purge --older-than 7d --state succeeded --yes      # from a cron job
"""


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``purge``."""
    parser = add_command(commands, "purge", "delete runs that ended long ago, with their events, for good", _EXAMPLES)
    parser.add_argument("--older-than", type=duration, required=True, metavar="7d", help="ended before that long ago")
    parser.add_argument(
        "--state",
        action="append",
        choices=ENDED,
        metavar="S",
        help=f"of these only, may be repeated: {', '.join(ENDED)} (all of them)",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(inbox_run=run, inbox_parser=parser)


def run(args: argparse.Namespace) -> int:
    """Delete them in small batches and say how many; 0, and 1 when the answer was no."""
    parser: argparse.ArgumentParser = args.inbox_parser
    states: list[str] = list(dict.fromkeys(args.state or ENDED))
    if not args.yes and (sys.stdin is None or not sys.stdin.isatty()):
        parser.error("nobody can be asked here; give --yes")

    from orchestrator.cli.inbox.database import in_loop, inbox_at, inbox_place
    from orchestrator.cli.inbox.words import span

    place = inbox_place(args)
    named = f"{', '.join(states[:-1])} or {states[-1]}" if len(states) > 1 else states[0]
    what = f"runs that are {named} and ended more than {span(args.older_than)} ago"
    if not args.yes and not _agreed(f"Delete all {what} from {place.where}, for good? [y/N] "):
        streams.say("nothing was deleted")
        return FAILED

    async def work() -> int:
        async with inbox_at(place) as inbox:
            return await inbox.purge(args.older_than, states)

    count = in_loop(work)
    streams.write(json.dumps({"purged": count}, indent=2) if args.json else f"{count} deleted")
    return 0


def _agreed(question: str) -> bool:
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
