"""Which database a command works on, and opening it: beside a running service, without its lock.

The database: ``--url``, else that of the service which is named (its container's inbox), else
``ORCHESTRATOR_STATE__URL``.

    Exception
     ├─ NotReady      exit code 2: there is no database yet
     └─ Refused       the inbox or its database refuses what was asked; exit code 1, and 2 for a wrong value
"""

import argparse
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from orchestrator.cli.locate import LocateError, NoService, load_service, locate
from orchestrator.inbox.errors import InboxError, UnknownRun, UnknownSchedule
from orchestrator.inbox.inbox import Inbox
from orchestrator.sql import DatabaseUrlError, SqlError, dialect, open_database, sqlite_path
from orchestrator.sql.url import MEMORY, without_password

if TYPE_CHECKING:
    from orchestrator.sql import SqliteDatabase
    from orchestrator.sql.postgres import PostgresDatabase

T = TypeVar("T")

VARIABLE = "ORCHESTRATOR_STATE__URL"

#: Connections that a command needs at most.
_SIZE = 2


class NotReady(Exception):
    """There is no database yet; the remedy is ``migrate``."""

    exit_code = 2


class Refused(Exception):
    """The inbox, or its database, refuses what was asked."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Place:
    """A database by its URL, and who lives in it: *batteries* of a service with their steps, and perhaps an inbox."""

    url: str
    batteries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    has_inbox: bool = True
    source: str = ""
    """The variable that names it, where nobody has named it on the command line."""

    @contextmanager
    def meant(self) -> Iterator[None]:
        """What is wrong with it says where its URL comes from: a forgotten variable is not looked for."""
        try:
            yield
        except (SqlError, NotReady) as error:
            if self.source:
                error.add_note(f"this database is named by {self.source} of the environment")
            raise

    @property
    def where(self) -> str:
        """What it is called in messages: a path, or a URL without its password."""
        return sqlite_path(self.url) if dialect(self.url) == "sqlite" else without_password(self.url)

    @property
    def is_missing(self) -> bool:
        """Whether it is a SQLite file that is not there. DatabaseUrlError when it never can be."""
        if dialect(self.url) != "sqlite":
            return False
        path = sqlite_path(self.url)
        if path == MEMORY:
            raise DatabaseUrlError(
                f"the database URL {self.url!r} names a database that ends with this command; give that of a file",
                self.url,
            )
        try:
            return not Path(path).exists()
        except OSError:  # it may not be looked at; opening it tells why
            return False


def inbox_place(args: argparse.Namespace) -> Place:
    """Where the inbox is that *args* mean. Raises LocateError, and what is wrong with a service that is named."""
    found = [place for place in places(args) if place.has_inbox]
    if len(found) == 1:
        return found[0]
    if found:
        raise LocateError(
            f"the service has inboxes in {len(found)} databases ({', '.join(place.where for place in found)}); "
            "name one with --url"
        )
    raise LocateError("the service has no inbox: its container makes no orchestrator.inbox.Inbox; name one with --url")


def places(args: argparse.Namespace) -> Sequence[Place]:
    """All databases that *args* mean. Raises as :func:`inbox_place`."""
    url = getattr(args, "url", None)
    if url is not None:
        return [Place(url)]
    said = os.environ.get(VARIABLE)
    try:
        found = locate(args.service, args.config)
    except NoService as error:
        if said:
            return [Place(said, source=VARIABLE)]
        error.add_note(f"or name the database itself, with --url or {VARIABLE}")
        raise
    from orchestrator.cli.inbox.configured import places_of  # settings and containers, for a service alone

    try:
        return places_of(load_service(found.service), found.config)
    except Exception as error:
        if "--url" not in str(error):
            error.add_note("or name the database itself, with --url")
        raise


@asynccontextmanager
async def database_at(place: Place) -> AsyncIterator["SqliteDatabase | PostgresDatabase"]:
    """The database at *place*, open while the block runs; a SQLite file is made when it is missing."""
    async with open_database(place.url, size=_SIZE) as database:
        yield database


@asynccontextmanager
async def inbox_at(place: Place) -> AsyncIterator[Inbox]:
    """The inbox at *place*, whose tables are as this release needs them. Raises NotReady, SchemaOlder, SqlError."""
    with place.meant():
        if place.is_missing:
            raise NotReady(
                f"there is no database at {place.where}; see the path, or make it: run 'migrate' with the same --url, "
                "--service or environment"
            )
        async with database_at(place) as database:
            inbox = Inbox.over(database)
            await inbox.tables.check()
            yield inbox


def with_inbox(args: argparse.Namespace, work: Callable[[Inbox], Awaitable[T]]) -> T:
    """What *work* comes to with the inbox that *args* mean. Raises Refused for what it and its database refuse."""
    place = inbox_place(args)

    async def main() -> T:
        async with inbox_at(place) as inbox:
            return await work(inbox)

    return in_loop(main)


def in_loop(main: Callable[[], Awaitable[T]]) -> T:
    """Run *main*. Raises Refused for what the inbox and its database refuse."""
    with refusals():
        return anyio.run(main)


@contextmanager
def refusals() -> Iterator[None]:
    """Raise Refused, with exit code 1 for what may be repeated or is not there, and 2 for what is wrong."""
    try:
        yield
    except InboxError as error:
        raise Refused(told(error), 2 if isinstance(error, ValueError) else 1) from error
    except SqlError as error:
        refused = Refused(str(error), 1 if getattr(error, "retryable", False) else error.exit_code)
        for note in getattr(error, "__notes__", ()):
            refused.add_note(note)
        raise refused from error


def told(error: InboxError) -> str:
    """The message of *error*, with a remedy for this side of the API."""
    if isinstance(error, UnknownRun):
        return f"no run has the id {error.run_id!r}; see the ids with 'inbox list'"
    if isinstance(error, UnknownSchedule):
        return f"no schedule has the id {error.schedule_id!r}; see the ids with 'schedules list'"
    return str(error)
