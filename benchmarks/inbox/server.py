"""The PostgreSQL of a run: one of its own with the server's defaults, or that of ``$TEST_PG_DSN``."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from benchmarks.missing import NotHere

#: The defaults of PostgreSQL, where the tests' server has others; and room for the connections of many workers.
DEFAULTS = {
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_min_messages": "warning",
    "max_connections": "200",
}


class Server:
    """Databases on the server at *url*, whose user may create them."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new and empty one."""
        import psycopg

        name = f"bench_{uuid.uuid4().hex}"
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
            try:
                yield urlunsplit(urlsplit(self._url)._replace(path=f"/{name}"))
            finally:
                connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def said(self) -> str:
        """Version and the settings that decide."""
        import psycopg

        with psycopg.connect(self._url, autocommit=True) as connection:
            names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
            found = [connection.execute(f"SHOW {name}").fetchone() for name in names]
            return "PostgreSQL " + "  ".join(f"{name} {row[0]}" for name, row in zip(names, found, strict=True) if row)


@contextmanager
def server() -> Iterator[Server]:
    """It runs as long as the block. Raises NotHere."""
    given = os.environ.get("TEST_PG_DSN")
    if given:
        yield Server(given)
        return
    try:
        from tests.postgres_server import NoServer, PostgresServer, new_folder
    except ModuleNotFoundError as error:
        raise NotHere(f"run it in the root of the repository: {error}") from error
    folder = new_folder()
    try:
        own = PostgresServer(folder, fast=False, settings=DEFAULTS)
        own.start()
        try:
            yield Server(own.url())
        finally:
            own.stop()
    except NoServer as error:
        raise NotHere(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
