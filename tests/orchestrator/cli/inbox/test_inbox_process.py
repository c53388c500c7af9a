"""``inbox``, ``schedules`` and ``migrate`` as users meet them: processes, pipes, signals, a service beside them."""

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import anyio
import pytest

from orchestrator.inbox import Inbox, Intent

pytestmark = pytest.mark.slow  # processes of their own

TYPE = "shop.receipt.v1"
HEAVY = (
    *("pydantic", "pydantic_settings", "dependency_injector", "rich", "anyio", "asyncio", "psycopg", "sqlite3"),
    *("cronsim", "longrun"),
)

SHOP = """
from dependency_injector import providers

from orchestrator import Container, Managed, Service, Settings
from orchestrator.inbox import Handlers, Inbox, InboxModule, Poller, handler
from orchestrator.settings import Section
from orchestrator.sql import StateDatabase


class State(Section):
    url: str = "sqlite://shop.db"


class ShopSettings(Settings):
    state: State = State()


@handler("shop.receipt.v1")
async def receipt(run):
    return {"number": run.payload["order"] + 1}


class ShopContainer(Container):
    settings = providers.Dependency(instance_of=ShopSettings)
    database = Managed(StateDatabase, settings.provided.state.url)
    inbox = providers.Singleton(Inbox.over, database)
    poller = providers.Singleton(Poller, inbox, providers.Singleton(Handlers, receipt))
    modules = providers.Dict(inbox=providers.Singleton(InboxModule, inbox, poller))


class Shop(Service):
    name, settings, container = "shop", ShopSettings, ShopContainer
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, folder):
    """An empty database of each kind; of SQLite the file is not there yet."""
    return f"sqlite://{folder}/shop.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.mark.parametrize("arguments", [("inbox", "--help"), ("inbox", "submit", "--help"), ("schedules", "--help")])
def test_help_imports_nothing_heavy(orchestrator, arguments):
    """No database, no settings, no event loop."""
    result = orchestrator(*arguments, python=("-X", "importtime"))

    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert result.returncode == 0
    assert imported.isdisjoint(HEAVY)
    assert "orchestrator.inbox" not in result.stderr


def test_a_wrong_payload_imports_nothing_heavy(orchestrator):
    """It is found out before anything else."""
    result = orchestrator("inbox", "submit", TYPE, "{", python=("-X", "importtime"))

    assert result.returncode == 2
    assert "sqlite3" not in result.stderr


def test_operators_work_beside_a_running_service(orchestrator, folder, environment, url):
    """Migrate, submit, see the result, cancel, a schedule: each a process, while the service holds its lock."""
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")
    named = {"ORCHESTRATOR_SERVICE": "shop:Shop", "ORCHESTRATOR_STATE__URL": url}
    orchestrator("migrate", env=named)
    log = (folder / "log").open("w")
    service = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", "run"], cwd=folder, env=environment | named, stderr=log
    )
    try:
        submitted = orchestrator("inbox", "submit", TYPE, '{"order": 7}', env=named)
        run_id = submitted.stdout.strip()
        run = until(lambda: shown(orchestrator, run_id, named), lambda run: run["state"] == "succeeded")
        later = orchestrator("inbox", "submit", TYPE, "--delay", "1h", env=named).stdout.strip()
        cancelled = orchestrator("inbox", "cancel", later, env=named)
        schedule_id = orchestrator("schedules", "add", TYPE, "@yearly", '{"order": 1}', env=named).stdout.strip()
        triggered = orchestrator("schedules", "run", schedule_id, env=named).stdout.strip()
        until(lambda: shown(orchestrator, triggered, named), lambda run: run["state"] == "succeeded")
        status = orchestrator("migrate", "status", env=named)
    finally:
        service.terminate()
        code = service.wait(30)
        log.close()

    assert submitted.stderr == ""
    assert (run["result"], run["claims"]) == ({"number": 8}, 1)
    assert (cancelled.returncode, cancelled.stdout) == (0, "1 cancelled\n")
    assert (status.returncode, status.stderr) == (0, "")
    assert code == 0, (folder / "log").read_text()


def bash(folder, environment, line):
    """One line of a shell."""
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def shown(orchestrator, run_id, named):
    """The run as JSON."""
    return json.loads(orchestrator("inbox", "show", run_id, "--json", env=named).stdout)


def until(look, fine, patience=30.0):
    """What *look* sees once it is *fine*."""
    deadline = time.monotonic() + patience
    while not fine(seen := look()):
        assert time.monotonic() < deadline, seen
    return seen


def test_a_reader_that_leaves_early_is_no_error(folder, environment):
    """``inbox list | head -1`` is quiet on every stream, whatever is behind it."""
    url = f"sqlite://{folder}/x.db"

    async def fill():
        async with Inbox.open(url) as inbox:
            await inbox.submit_many([Intent(TYPE, "x" * 200) for _ in range(1000)])

    anyio.run(fill)
    for how in ("", "--json"):
        line = f"{sys.executable} -m orchestrator inbox list --limit 1000 {how} --url {url} | head -1"

        result = bash(folder, environment, f"set -o pipefail; {line}; exit $?")

        assert (result.returncode, result.stderr) == (0, "")
        assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_that_waits(folder, environment, number):
    """Exit code 130, one word; the server that never answers is not waited for."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        url = f"postgresql://u@127.0.0.1:{server.getsockname()[1]}/db?sslmode=disable"
        process = subprocess.Popen(
            [sys.executable, "-m", "orchestrator", "inbox", "list", "--url", url],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            process.send_signal(number)
            out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (130, "", "interrupted\n")


def test_a_database_that_others_hold_is_one_line(orchestrator, folder):
    """Exit code 1: it may work later."""
    url = f"sqlite://{folder}/x.db"
    orchestrator("migrate", "--url", url)
    other = sqlite3.connect(folder / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        result = orchestrator("inbox", "submit", TYPE, "--url", url)
    finally:
        other.close()

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {folder}/x.db: database is locked; ")
    assert "it may be tried again" in result.stderr, "nobody does that here"
    assert result.stderr.count("\n") == 1


def test_a_full_disk_is_one_line_and_stores_nothing(orchestrator, folder, environment):
    """Exit code 1, whatever the file system says first."""
    url = f"sqlite://{folder}/x.db"
    orchestrator("migrate", "--url", url)
    payload = json.dumps("x" * 900_000)
    (folder / "p.json").write_text(payload)
    limit = f"ulimit -f 600; trap '' XFSZ; {sys.executable} -m orchestrator inbox submit {TYPE} @p.json --url {url}"

    result = bash(folder, environment, limit)
    left = json.loads(orchestrator("inbox", "list", "--json", "--url", url).stdout)

    assert result.returncode in (1, 2)
    assert result.stderr.startswith(f"error: {folder}/x.db: ")
    assert result.stderr.count("\n") == 1
    assert left["runs"] == []
