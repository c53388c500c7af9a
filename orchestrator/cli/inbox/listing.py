"""``inbox list``: runs, newest first."""

import argparse
import json
import shlex

from orchestrator.cli import streams
from orchestrator.cli.inbox.arguments import STATES, add_command, text

_EXAMPLES = """\
  inbox list --state failed --type shop.receipt.v1
  inbox list --key receipt:7
  inbox list --json --limit 1000 | jq -r '.runs[] | select(.attempt > 0) | .id'
"""


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``list``."""
    parser = add_command(commands, "list", "list runs, newest first", _EXAMPLES)
    parser.add_argument("--type", type=text, metavar="T", help="of this type only")
    parser.add_argument("--state", choices=STATES, metavar="S", help=f"in this state only: {', '.join(STATES)}")
    parser.add_argument("--key", type=text, metavar="K", help="with this idempotency key")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="so many at most (50; up to 1000)")
    parser.add_argument("--cursor", type=text, metavar="C", help="go on behind a page, with what it named")
    parser.set_defaults(inbox_run=run)


def run(args: argparse.Namespace) -> int:
    """Print a page of runs; 0."""
    from datetime import UTC, datetime

    from orchestrator.cli.inbox import shown, table
    from orchestrator.cli.inbox.database import with_inbox
    from orchestrator.inbox.inbox import Inbox
    from orchestrator.inbox.store.records import Page

    async def work(inbox: Inbox) -> Page:
        return await inbox.list(
            type=args.type, state=args.state, idempotency_key=args.key, limit=args.limit, cursor=args.cursor
        )

    page = with_inbox(args, work)
    if args.json:
        document = {"runs": [shown.run_json(each) for each in page.runs], "next": page.next}
        streams.write(json.dumps(document, indent=2))
    elif page.runs:
        table.show(shown.run_rows(page.runs, datetime.now(UTC)))
    else:
        streams.say("no run matches")
    if page.next is not None and not args.json:
        streams.say(f"there are more: --cursor {shlex.quote(page.next)}")
    return 0
