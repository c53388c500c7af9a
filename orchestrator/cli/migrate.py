"""``migrate`` and ``migrate status``: the tables of every battery, brought to this release or compared with it.

Beside a running service too: its lock is not asked for, and processes that migrate together do each step once.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.cli import streams
from orchestrator.cli.failures import FAILED
from orchestrator.cli.inbox.arguments import add_url
from orchestrator.cli.inbox.interruption import leave_on_a_signal

if TYPE_CHECKING:
    from orchestrator.cli.inbox.database import Place
    from orchestrator.contracts import Database, JsonValue

_EXAMPLES = """\
examples:
  migrate                                            # all batteries of the service
  migrate --url postgresql://user@host/db            # the inbox alone
  migrate status || echo "behind"                    # before a deployment
"""


@dataclass(frozen=True, slots=True)
class Battery:
    """The tables of *name* at *where*: *found* steps were done there, this release has *wanted*."""

    name: str
    where: str
    found: int
    wanted: int

    @property
    def state(self) -> str:
        """In words."""
        if self.found > self.wanted:
            return "newer than this release"
        if not self.found and self.wanted:
            return "not there yet"
        return "up to date" if self.found == self.wanted else f"{self.wanted - self.found} behind"

    @property
    def done(self) -> str:
        """What a migration did to it."""
        if self.found == self.wanted:
            return f"nothing, it is at version {self.wanted}"
        return f"version {self.found} -> {self.wanted}" if self.found else f"made, version {self.wanted}"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``migrate [status]``."""
    help_text = "bring the tables of all batteries to this release; status: compare them with it"
    parser = subparsers.add_parser(
        "migrate",
        help=help_text,
        description=help_text,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "migrate_action",
        nargs="?",
        choices=("status",),
        metavar="status",
        help="change nothing; exit code 0 when all are up to date, else 1",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_url(parser)
    parser.set_defaults(needs_service=False)


def run(args: argparse.Namespace) -> int:
    """Migrate and print what was done, or print what is to be done; the exit code."""
    leave_on_a_signal()
    from orchestrator.cli.inbox.database import in_loop, places

    found = places(args)
    if args.migrate_action is None:
        before = in_loop(lambda: _migrated(found))
        _print(before, as_json=args.json, migrated=True)
        return 0
    now = in_loop(lambda: _looked_at(found))
    _print(now, as_json=args.json, migrated=False)
    late = [each for each in now if each.found != each.wanted]
    for each in late:
        remedy = "install that release" if each.found > each.wanted else "run 'migrate'"
        streams.say(
            f"{each.name!r} in {each.where} is {each.state} (version {each.found}, wanted {each.wanted}); {remedy}"
        )
    return FAILED if late else 0


async def _migrated(places: "Sequence[Place]") -> list[Battery]:
    """Migrate everything; what each battery was before."""
    from orchestrator.cli.inbox.database import database_at

    before: list[Battery] = []
    for place in places:
        with place.meant():
            _ = place.is_missing  # a database in memory is refused
            async with database_at(place) as database:
                for name, steps in _batteries(place, database).items():
                    found = await database.version(name)
                    await database.migrate(name, steps)
                    before.append(Battery(name, database.where, found, len(steps)))
    return before


async def _looked_at(places: "Sequence[Place]") -> list[Battery]:
    """What each battery is. A file that is not there is not made: an empty database in memory stands for it."""
    from orchestrator.cli.inbox.database import database_at
    from orchestrator.sql.url import MEMORY

    now: list[Battery] = []
    for place in places:
        with place.meant():
            missing = place.is_missing
            async with database_at(replace(place, url=f"sqlite://{MEMORY}") if missing else place) as database:
                where = place.where if missing else database.where
                for name, steps in _batteries(place, database).items():
                    now.append(Battery(name, where, await database.version(name), len(steps)))
    return now


def _batteries(place: "Place", database: "Database") -> "dict[str, Sequence[str]]":
    """The steps of everything that lives at *place*; *database* says which kind it is."""
    from orchestrator.inbox.inbox import BATTERY, Inbox

    inbox = {BATTERY: Inbox.over(database).store.steps} if place.has_inbox else {}
    return {**place.batteries, **inbox}


def _print(batteries: Sequence[Battery], *, as_json: bool, migrated: bool) -> None:
    from orchestrator.cli.inbox import table

    if as_json:
        streams.write(json.dumps({"batteries": [_json(each, migrated=migrated) for each in batteries]}, indent=2))
        return
    if not batteries:
        streams.write("the service has no database")
        return
    rows: list[tuple[str, ...]]
    if migrated:
        rows = [("BATTERY", "DONE", "DATABASE"), *((each.name, each.done, each.where) for each in batteries)]
    else:
        rows = [("BATTERY", "VERSION", "WANTED", "STATE", "DATABASE")]
        rows += [(each.name, str(each.found), str(each.wanted), each.state, each.where) for each in batteries]
    table.show(rows)


def _json(battery: Battery, *, migrated: bool) -> "dict[str, JsonValue]":
    told: dict[str, JsonValue] = {"battery": battery.name, "database": battery.where}
    if migrated:
        return told | {"before": battery.found, "version": battery.wanted}
    return told | {"version": battery.found, "wanted": battery.wanted, "up_to_date": battery.found == battery.wanted}
