"""``inbox submit``: one intent."""

import argparse
import json
from typing import cast

from orchestrator.cli import streams
from orchestrator.cli.inbox.arguments import PAYLOAD_HELP, add_command, add_run_options, duration, moment, payload

_EXAMPLES = """\
  inbox submit shop.receipt.v1 '{"order": 7}' --key receipt:7
  inbox submit shop.report.v1 @report.json --delay 1h30m
  echo '[1, 2]' | python -m orchestrator inbox submit shop.sum.v1 -
  inbox submit shop.sync.v1 --key sync --unique      # one at a time
"""


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``submit``."""
    help_text = "store an intent and print the id of its run"
    parser = add_command(commands, "submit", help_text, _EXAMPLES)
    parser.add_argument("type", metavar="TYPE", help="for example shop.receipt.v1")
    parser.add_argument("payload", nargs="?", metavar="PAYLOAD", help=PAYLOAD_HELP)
    parser.add_argument("--key", metavar="K", help="idempotency key: a second submit with it gives the first one's run")
    parser.add_argument("--unique", action="store_true", help="the key is free again when its run has ended")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--delay", type=duration, metavar="5m", help="not before so long from now")
    when.add_argument("--at", type=moment, metavar="TIME", help="not before this time, ISO 8601 with its zone")
    add_run_options(parser)
    parser.set_defaults(inbox_run=run, inbox_parser=parser)


def run(args: argparse.Namespace) -> int:
    """Submit; 0, also when the key was known already, which is said on standard error."""
    if args.unique and args.key is None:
        cast("argparse.ArgumentParser", args.inbox_parser).error("--unique says how long a --key is taken; give one")
    value = payload(args.payload)

    from orchestrator.cli.inbox.database import with_inbox
    from orchestrator.inbox.inbox import Inbox
    from orchestrator.inbox.submission import Submitted

    async def work(inbox: Inbox) -> Submitted:
        return await inbox.submit(
            args.type,
            value,
            idempotency_key=args.key,
            unique=args.unique,
            priority=args.priority,
            delay=args.delay or 0.0,
            run_at=args.at,
            max_attempts=args.max_attempts,
        )

    run_id = with_inbox(args, work)
    if args.json:
        streams.write(json.dumps({"id": run_id, "existed": run_id.existed}, indent=2))
    else:
        streams.write(run_id)
        if run_id.existed:
            streams.say(f"nothing was stored: the key {args.key!r} is that of this run already")
    return 0
