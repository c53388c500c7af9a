"""``inbox types``, ``enable`` and ``disable``: the types that workers handle, and their switches."""

import argparse
import json
from difflib import get_close_matches
from typing import TYPE_CHECKING

from orchestrator.cli import streams
from orchestrator.cli.failures import FAILED
from orchestrator.cli.inbox.arguments import add_command

if TYPE_CHECKING:
    from orchestrator.inbox.inbox import Inbox


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
        parser.add_argument(
            "--force", action="store_true", help="also when nobody knows the type yet, as before its first worker"
        )
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
    """Switch the type on or off; 0. Raises Refused for one that nobody knows, unless by force."""
    from orchestrator.cli.inbox.database import with_inbox

    async def work(inbox: "Inbox") -> None:
        if not args.force:
            await _see_that_it_is_known(inbox, args.type)
        await inbox.set_enabled(args.type, args.enabled)

    with_inbox(args, work)
    if args.json:
        streams.write(json.dumps({"type": args.type, "enabled": args.enabled}, indent=2))
    else:
        streams.write(f"{args.type} {'enabled' if args.enabled else 'disabled'}")
    return 0


async def _see_that_it_is_known(inbox: "Inbox", wanted: str) -> None:
    from orchestrator.cli.inbox.database import Refused
    from orchestrator.inbox.intent import check_type

    check_type(wanted)
    known = {each.type for each in await inbox.types()}
    if wanted in known:
        return
    # What workers handle by a prefix is in no registry, but its runs are there.
    open_ = await inbox.tables.read(lambda connection: inbox.store.stats(connection, ended=False))
    known.update(kind for kind, _ in open_.counts)
    if wanted in known:
        return
    near = get_close_matches(wanted, sorted(known), 3)
    meant = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise Refused(
        f"no worker has made the type {wanted!r} known, and no run of it is pending or leased; {meant}"
        "'inbox types' lists those that are known, --force switches it all the same",
        FAILED,
    )
