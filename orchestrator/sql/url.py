"""Connection URLs: ``sqlite:///absolute``, ``sqlite://relative``, ``sqlite://:memory:``.

``sqlite3://`` is the same, and a scheme may be written in any case.
"""

import re
from pathlib import Path

from orchestrator.sql.errors import DatabaseUrlError

MEMORY = ":memory:"
_EXAMPLE = "use sqlite:///absolute/path.db, sqlite://relative/path.db or sqlite://:memory:"


def sqlite_path(url: str) -> str:
    """The path that *url* names, absolute, or ``":memory:"``. DatabaseUrlError when it names no SQLite database."""
    if "\0" in url:
        raise DatabaseUrlError(f"the database URL is {url!r}, with a NUL in it; {_EXAMPLE}", repr(url))
    shown = _without_password(url)
    scheme, found, rest = url.partition("://")
    if not found:
        raise DatabaseUrlError(f"the database URL {shown!r} has no scheme; {_EXAMPLE}", shown)
    if scheme.lower() in ("postgres", "postgresql"):
        raise DatabaseUrlError(f"the database URL {shown!r} names PostgreSQL, not in this version; {_EXAMPLE}", shown)
    if scheme.lower() not in ("sqlite", "sqlite3"):
        raise DatabaseUrlError(f"the database URL {shown!r} has the unknown scheme {scheme!r}; {_EXAMPLE}", shown)
    path, asks, query = rest.partition("?")
    if asks:
        raise DatabaseUrlError(f"the database URL {shown!r} has parameters ({query!r}), SQLite takes none here", shown)
    if path in ("", MEMORY):
        return MEMORY
    return str(Path(path).absolute())


def _without_password(url: str) -> str:
    hidden = re.sub(r"(?<=://)([^/@:]*):[^/]*@", r"\1:***@", url)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", hidden)
