"""``schedules``: what is submitted again and again by the clock. They fire where a service with an inbox runs."""

import argparse
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, cast

from orchestrator.cli import streams
from orchestrator.cli.inbox.arguments import PAYLOAD_HELP, add_command, add_url, payload
from orchestrator.cli.inbox.interruption import leave_on_a_signal

if TYPE_CHECKING:
    from datetime import datetime

    from orchestrator.inbox.inbox import Inbox
    from orchestrator.inbox.store.schedules import ScheduleRecord

_ADD_EXAMPLES = """\
  schedules add shop.report.v1 '0 9 * * 1' --tz America/New_York
  schedules add shop.sync.v1 '*/15 * * * *' '{"full": false}' --misfire skip
  schedules add shop.close.v1 @daily @close.json --misfire 'catch_up(3)'
"""
_ID_HELP = "as add and list print it"
_MISFIRE_HELP = "what becomes of fires that nobody was there for: skip, run_once (the default) or catch_up(n)"

#: Fires that are foretold when a schedule is made, changed or resumed.
_FORETOLD = 3


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``schedules add|list|show|update|pause|resume|delete|run``."""
    help_text = "add schedules of intents, list, change, pause and delete them"
    parser = subparsers.add_parser("schedules", help=help_text, description=help_text)
    add_url(parser)
    parser.set_defaults(needs_service=False)  # a URL will do
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_adding(add_command(commands, "add", "store a schedule and print its id and next fires", _ADD_EXAMPLES))
    listing = add_command(commands, "list", "list schedules, oldest first")
    listing.add_argument("--type", metavar="T", help="of this type only")
    listing.add_argument("--limit", type=int, default=50, metavar="N", help="so many at most (50; up to 1000)")
    listing.add_argument("--cursor", metavar="C", help="go on behind a page, with what it named")
    listing.set_defaults(schedules_run=_list)
    _add_updating(add_command(commands, "update", "change what is given, and print the next fires"))
    for name, help_text, command in (
        ("show", "show all of a schedule, with its next fires", _show),
        ("pause", "switch a schedule off; what would have fired meanwhile is not made up for", _pause),
        ("resume", "switch a schedule on, from now", _resume),
        ("delete", "end a schedule for good; its runs stay", _delete),
        ("run", "submit its intent now and print the id of the run; its next fire stays", _run_now),
    ):
        single = add_command(commands, name, help_text)
        single.add_argument("id", metavar="ID", help=_ID_HELP)
        single.set_defaults(schedules_run=command)


def run(args: argparse.Namespace) -> int:
    """Run the one that was named; its exit code."""
    leave_on_a_signal()
    command = cast("Callable[[argparse.Namespace], int]", args.schedules_run)
    return command(args)


def _add_adding(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("type", metavar="TYPE", help="for example shop.report.v1")
    parser.add_argument("cron", metavar="CRON", help="five fields in quotes, or @hourly, @daily and their kind")
    parser.add_argument("payload", nargs="?", metavar="PAYLOAD", help=PAYLOAD_HELP)
    parser.add_argument("--tz", default="UTC", metavar="ZONE", help="whose wall clock CRON speaks of (UTC)")
    parser.add_argument("--priority", type=int, default=100, metavar="N", help="of its runs; lower first (100)")
    parser.add_argument("--max-attempts", type=int, default=3, metavar="N", help="of each run (3)")
    parser.add_argument("--misfire", default="run_once", metavar="POLICY", help=_MISFIRE_HELP)
    parser.set_defaults(schedules_run=_add)


def _add_updating(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help=_ID_HELP)
    parser.add_argument("--cron", metavar="CRON", help="five fields in quotes; it waits for its first fire after now")
    parser.add_argument("--tz", metavar="ZONE", help="whose wall clock CRON speaks of")
    parser.add_argument("--payload", metavar="PAYLOAD", help="JSON, - for standard input, or @FILE")
    parser.add_argument("--priority", type=int, metavar="N", help="of its runs; lower first")
    parser.add_argument("--max-attempts", type=int, metavar="N", help="of each run")
    parser.add_argument("--misfire", metavar="POLICY", help=_MISFIRE_HELP)
    parser.set_defaults(schedules_run=_update, schedules_parser=parser)


def _add(args: argparse.Namespace) -> int:
    value = payload(args.payload)

    async def work(inbox: "Inbox") -> "tuple[str, Sequence[datetime]]":
        schedule_id = await inbox.schedules.create(
            args.type,
            value,
            cron=args.cron,
            tz=args.tz,
            priority=args.priority,
            max_attempts=args.max_attempts,
            misfire=args.misfire,
        )
        return schedule_id, await inbox.schedules.next_fires(schedule_id, _FORETOLD)

    return _foretell(args, work)


def _update(args: argparse.Namespace) -> int:
    given = {name: getattr(args, name) for name in ("cron", "tz", "priority", "max_attempts", "misfire")}
    changes: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if args.payload is not None:
        changes["payload"] = payload(args.payload)
    if not changes:
        cast("argparse.ArgumentParser", args.schedules_parser).error("say what to change")

    async def work(inbox: "Inbox") -> "tuple[str, Sequence[datetime]]":
        await inbox.schedules.update(args.id, **changes)  # type: ignore[arg-type] # argparse has made them so
        return args.id, await inbox.schedules.next_fires(args.id, _FORETOLD)

    return _foretell(args, work)


def _resume(args: argparse.Namespace) -> int:
    async def work(inbox: "Inbox") -> "tuple[str, Sequence[datetime]]":
        await inbox.schedules.resume(args.id)
        return args.id, await inbox.schedules.next_fires(args.id, _FORETOLD)

    return _foretell(args, work)


def _foretell(args: argparse.Namespace, work: "Callable[[Inbox], Awaitable[tuple[str, Sequence[datetime]]]]") -> int:
    from orchestrator.cli.inbox.database import with_inbox
    from orchestrator.cli.schedules_shown import fire_lines, fires_json

    schedule_id, fires = with_inbox(args, work)
    if args.json:
        streams.write(json.dumps({"id": schedule_id, "next_fires": fires_json(fires)}, indent=2))
        return 0
    streams.write(schedule_id)
    for line in fire_lines(fires):
        streams.say(line)  # the id stands alone on standard output, for scripts
    return 0


def _list(args: argparse.Namespace) -> int:
    import shlex

    from orchestrator.cli.inbox import table
    from orchestrator.cli.inbox.database import with_inbox
    from orchestrator.cli.schedules_shown import schedule_json, schedule_rows

    page = with_inbox(args, lambda inbox: inbox.schedules.list(type=args.type, limit=args.limit, cursor=args.cursor))
    if args.json:
        document = {"schedules": [schedule_json(each) for each in page.schedules], "next": page.next}
        streams.write(json.dumps(document, indent=2))
        return 0
    if page.schedules:
        table.show(schedule_rows(page.schedules))
    else:
        streams.say("no schedule matches")
    if page.next is not None:
        streams.say(f"there are more: --cursor {shlex.quote(page.next)}")
    return 0


def _show(args: argparse.Namespace) -> int:
    from orchestrator.cli.inbox.database import with_inbox
    from orchestrator.cli.schedules_shown import fires_json, schedule_json, schedule_lines
    from orchestrator.inbox.errors import InvalidSchedule

    async def work(inbox: "Inbox") -> "tuple[ScheduleRecord, Sequence[datetime]]":
        found = await inbox.schedules.get(args.id)
        try:
            return found, await inbox.schedules.next_fires(args.id, 5)
        except InvalidSchedule:  # of another program; its error is shown
            return found, ()

    schedule, fires = with_inbox(args, work)
    if args.json:
        streams.write(json.dumps({**schedule_json(schedule), "next_fires": fires_json(fires)}, indent=2))
        return 0
    for line in schedule_lines(schedule, fires):
        streams.write(line)
    return 0


def _pause(args: argparse.Namespace) -> int:
    return _ordered(args, "paused", lambda inbox: inbox.schedules.pause(args.id))


def _delete(args: argparse.Namespace) -> int:
    return _ordered(args, "deleted", lambda inbox: inbox.schedules.delete(args.id))


def _ordered(args: argparse.Namespace, done: str, order: "Callable[[Inbox], Awaitable[None]]") -> int:
    from orchestrator.cli.inbox.database import with_inbox

    with_inbox(args, order)
    streams.write(json.dumps({"id": args.id, "done": done}, indent=2) if args.json else f"{args.id} {done}")
    return 0


def _run_now(args: argparse.Namespace) -> int:
    from orchestrator.cli.inbox.database import with_inbox

    run_id = with_inbox(args, lambda inbox: inbox.schedules.trigger(args.id))
    streams.write(json.dumps({"id": args.id, "run_id": run_id}, indent=2) if args.json else run_id)
    return 0
