"""``inbox cancel`` and ``inbox retry``: runs that are wanted no more, and runs that are wanted after all."""

import argparse
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from orchestrator.cli import streams
from orchestrator.cli.failures import FAILED
from orchestrator.cli.inbox.arguments import add_command, text

if TYPE_CHECKING:
    from orchestrator.inbox.inbox import Inbox

_CANCEL_EXAMPLES = """\
  inbox cancel 0197f2b4-... 0197f2b5-...
  inbox list --state pending --json | jq -r '.runs[].id' | xargs python -m orchestrator inbox cancel
"""
_RETRY_EXAMPLES = """\
  inbox retry 0197f2b4-...
  inbox retry --state failed --type shop.receipt.v1 --limit 500
"""


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``cancel`` and ``retry``."""
    parser = add_command(
        commands, "cancel", "cancel runs at once, also while they are executed; twice is once", _CANCEL_EXAMPLES
    )
    parser.add_argument("ids", nargs="+", type=text, metavar="ID", help="as submit and list print it")
    parser.set_defaults(inbox_run=cancel)
    parser = add_command(
        commands, "retry", "run failed or cancelled runs again, now, with their counters at zero", _RETRY_EXAMPLES
    )
    parser.add_argument("ids", nargs="*", type=text, metavar="ID", help="as list prints it; or say which with --state")
    parser.add_argument("--state", choices=("failed",), metavar="failed", help="all that failed, the latest first")
    parser.add_argument("--type", type=text, metavar="T", help="with --state: of this type only")
    parser.add_argument("--limit", type=int, default=None, metavar="N", help="with --state: so many at most (1000)")
    parser.set_defaults(inbox_run=retry, inbox_parser=parser)


def cancel(args: argparse.Namespace) -> int:
    """Cancel each; 0, and 1 when one could not be. The others are cancelled all the same."""
    return _each(args, "cancelled", lambda inbox, run_id: inbox.cancel(run_id))


def retry(args: argparse.Namespace) -> int:
    """Retry each, or those in a state; 0, and 1 when one could not be. The others are retried all the same."""
    parser: argparse.ArgumentParser = args.inbox_parser
    if bool(args.ids) == (args.state is not None):
        parser.error("give ids, or --state with what it may be narrowed by" + ("; not both" if args.ids else ""))
    if args.ids and (args.type is not None or args.limit is not None):
        parser.error("--type and --limit go with --state, not with ids")
    if args.ids:
        return _each(args, "retried", lambda inbox, run_id: inbox.retry(run_id))
    return _retry_many(args)


def _retry_many(args: argparse.Namespace) -> int:
    from orchestrator.cli.inbox.database import with_inbox

    limit = 1000 if args.limit is None else args.limit
    count = with_inbox(args, lambda inbox: inbox.retry_many(type=args.type, limit=limit))
    if args.json:
        streams.write(json.dumps({"count": count}, indent=2))
    else:
        streams.write(f"{count} retried")
        if count == limit:
            streams.say("perhaps there are more: say it again, or give a higher --limit")
    return 0


def _each(args: argparse.Namespace, done: str, order: "Callable[[Inbox, str], Awaitable[None]]") -> int:
    """Give *order* for each id that *args* name, tell what became of it; 1 when one was refused."""
    from orchestrator.cli.inbox.database import told, with_inbox
    from orchestrator.inbox.errors import InboxError

    async def work(inbox: "Inbox") -> dict[str, str]:
        refused: dict[str, str] = {}
        for run_id in dict.fromkeys(args.ids):
            try:
                await order(inbox, run_id)
            except InboxError as error:
                refused[run_id] = told(error)
        return refused

    refused = with_inbox(args, work)
    fine = [run_id for run_id in dict.fromkeys(args.ids) if run_id not in refused]
    _tell(fine, refused, done, as_json=args.json)
    return FAILED if refused else 0


def _tell(fine: Sequence[str], refused: dict[str, str], done: str, *, as_json: bool) -> None:
    for why in refused.values():
        streams.say(f"error: {why}")
    if as_json:
        failed = [{"id": run_id, "error": why} for run_id, why in refused.items()]
        streams.write(json.dumps({done: list(fine), "refused": failed}, indent=2))
    else:
        streams.write(f"{len(fine)} {done}" + (f", {len(refused)} not" if refused else ""))
