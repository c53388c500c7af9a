"""``inbox``, ``schedules`` and ``migrate`` in this process, on both databases."""

import json
import signal
from typing import NamedTuple

import anyio
import pytest

from orchestrator.cli.main import main
from orchestrator.inbox import Inbox
from orchestrator.inbox.store.records import ClaimRequest, Settled

TYPE = "shop.receipt.v1"


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        assert (self.code, self.err) == (0, ""), self
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def signals():
    """A command takes the process's signals for good; the tests' process wants them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database of each kind; of SQLite the file is not there yet."""
    if request.param == "sqlite":
        return f"sqlite://{tmp_path / 'x.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Runs a command line in an empty folder; its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    for name in ("ORCHESTRATOR_SERVICE", "ORCHESTRATOR_CONFIG", "ORCHESTRATOR_STATE__URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*argv):
        code = main(argv)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def cli(command, url):
    """The same with the ``--url`` of a database that is migrated."""
    assert command("migrate", "--url", url).code == 0
    return lambda *argv: command(*argv, "--url", url)


@pytest.fixture
def within(url):
    """What some work comes to with the inbox at *url*, as a program has it."""

    def run(work):
        async def opened():
            async with Inbox.open(url, migrate=False) as inbox:
                return await work(inbox)

        return anyio.run(opened)

    return run


@pytest.fixture
def execute(within):
    """Claims what is due, and settles it with an outcome when one is given."""

    def run(outcome):
        async def work(inbox):
            request = ClaimRequest("host-12", [TYPE], 10, 30.0)
            claimed = await inbox.database.transaction(lambda connection: inbox.store.claim(connection, request))
            if outcome is not None:
                settled = [Settled(each.hold, outcome) for each in claimed]
                await inbox.database.transaction(lambda connection: inbox.store.settle(connection, settled))

        within(work)

    return run


@pytest.fixture
def error_of():
    """Checks that a refused command says one line, and gives it."""

    def check(result, code):
        assert (result.code, result.out) == (code, ""), result
        assert result.err.count("\n") == 1, result.err
        assert result.err.startswith("error: ")
        return result.err

    return check
