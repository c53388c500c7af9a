"""Connection URLs: which kind of database one names, and the path of a SQLite file.

``sqlite:///absolute``, ``sqlite://relative``, ``sqlite://:memory:``; ``sqlite3://`` is the same.
``postgresql://user@host:5432/database?schema=workflow``; ``postgres://`` is the same.
A scheme may be written in any case.
"""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from orchestrator.sql.errors import DatabaseUrlError

MEMORY = ":memory:"
SQLITE_SCHEMES = ("sqlite", "sqlite3")
POSTGRES_SCHEMES = ("postgres", "postgresql")

_SQLITE = "use sqlite:///absolute/path.db, sqlite://relative/path.db or sqlite://:memory:"
_EITHER = f"{_SQLITE}, or postgresql://user@host:5432/database"

#: Where the tables are on PostgreSQL when a URL does not say: as in simple-workflow.
DEFAULT_SCHEMA = "workflow"

#: The kinds of database, by their usual names.
Dialect = Literal["sqlite", "postgresql"]


def dialect(url: str) -> Dialect:
    """Which kind of database *url* names. DatabaseUrlError when it names none."""
    if "\0" in url:
        raise DatabaseUrlError(f"the database URL is {url!r}, with a NUL in it; {_EITHER}", repr(url))
    shown = without_password(url)
    scheme, found, _ = url.partition("://")
    if not found:
        raise DatabaseUrlError(f"the database URL {shown!r} has no scheme; {_EITHER}", shown)
    if scheme.lower() in POSTGRES_SCHEMES:
        return "postgresql"
    if scheme.lower() in SQLITE_SCHEMES:
        return "sqlite"
    raise DatabaseUrlError(f"the database URL {shown!r} has the unknown scheme {scheme!r}; {_EITHER}", shown)


def sqlite_path(url: str) -> str:
    """The path that *url* names, absolute, or ``":memory:"``. DatabaseUrlError when it names no SQLite database."""
    shown = without_password(url)
    if dialect(url) != "sqlite":
        raise DatabaseUrlError(
            f"the database URL {shown!r} names PostgreSQL, and SQLite is needed here; {_SQLITE}", shown
        )
    path, asks, query = url.partition("://")[2].partition("?")
    if asks:
        raise DatabaseUrlError(f"the database URL {shown!r} has parameters ({query!r}), SQLite takes none here", shown)
    if path in ("", MEMORY):
        return MEMORY
    return str(Path(path).absolute())


def without_password(url: str) -> str:
    """*url* to be shown. Where a password may be is not always clear in a wrong one: rather too much is hidden."""
    address, asks, query = re.sub(r"(?s)(?<=://)([^/@:?]*):.*@", r"\1:***@", url).partition("?")
    options = (option.partition("=") for option in query.split("&"))
    shown = (
        f"{key}=***" if "password" in unquote(key).lower() else key + equals + value for key, equals, value in options
    )
    return address + asks + "&".join(shown)
