"""The reference application on PostgreSQL: what SQLite promises, and several replicas on one database."""

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import psycopg
import pytest

from tests.acceptance.processes import REPOSITORIES, App, Forge

Start = Callable[..., App]

pytestmark = pytest.mark.slow


@pytest.fixture
def config(config: Path, postgres_url: str) -> Path:
    """The quick configuration, with its state in a schema of its own."""
    return _moved(config, f"{postgres_url}?schema=github")


def test_it_runs_drains_and_goes_on_where_it_stopped(
    start: Start, config: Path, forge: Forge, postgres_url: str
) -> None:
    """Preflights, pages, intents and comments; SIGTERM: exit 0; the next start explains what is new, and that alone."""
    app = start(config, "run")
    app.until(lambda: _explained(forge))
    app.signal(signal.SIGTERM)
    first, read = app.end(), _rows(postgres_url, "SELECT repository_id, since FROM github.github_cursor")
    forge.grow(5)
    app = start(config, "run")
    app.until(lambda: _explained(forge))
    app.signal(signal.SIGTERM)

    assert (first, app.end()) == (0, 0)
    assert set(forge.marked().values()) == {1}
    assert len(read) == len(REPOSITORIES)
    asked = [str(seen["path"]) for seen in forge.requests()]
    assert sum(path.endswith("/issues") for path in asked) >= 2 * len(REPOSITORIES)
    assert not any("Traceback" in line for line in app.lines)
    left = _rows(postgres_url, "SELECT DISTINCT status FROM github.workflow_run WHERE status <> 'succeeded'")
    assert left in ([], [("pending",)])  # a comment changes its issue, which is news once more


def test_killed_in_the_middle_nothing_is_lost_and_nothing_said_twice(
    start: Start, config: Path, forge: Forge, chance: Random
) -> None:
    """Four times SIGKILL while issues are being explained: each carries one comment in the end."""
    for _ in range(4):
        app = start(config, "run")
        app.until(lambda app=app: bool(app.events("service.ready")))
        forge.grow(2)
        time.sleep(chance.uniform(0.0, 0.6))  # the random moment: this is what the test is about
        app.signal(signal.SIGKILL)
        app.end()

    app = start(config, "run")
    app.until(lambda: _explained(forge))
    app.signal(signal.SIGTERM)

    assert app.end() == 0
    assert set(forge.marked().values()) == {1}


def test_two_replicas_share_one_database_and_one_outlives_the_other(
    start: Start, config: Path, forge: Forge, postgres_url: str
) -> None:
    """Both start on the empty database, both poll, relay and explain; one is killed and the other goes on alone."""
    replicas = [start(config, "run"), start(config, "run")]
    for app in replicas:
        app.until(lambda app=app: bool(app.events("service.ready")))
    for _ in range(6):
        forge.grow(3)
        time.sleep(0.3)  # so that both meet the news, in several batches
    replicas[0].until(lambda: _explained(forge))

    replicas[0].signal(signal.SIGKILL)
    replicas[0].end()
    forge.grow(5)
    replicas[1].until(lambda: _explained(forge))
    replicas[1].signal(signal.SIGTERM)

    assert replicas[1].end() == 0
    assert set(forge.marked().values()) == {1}
    for app in replicas:
        assert not any("Traceback" in line for line in app.lines)
        assert not app.events("outbox.row_dead")
    twice = "SELECT count(*) - count(DISTINCT idempotency_key) FROM github.workflow_run"
    assert _rows(postgres_url, twice) == [(0,)]
    assert _rows(postgres_url, "SELECT count(*) FROM github.github_repository") == [(len(REPOSITORIES),)]


def test_a_server_that_restarts_is_waited_for(
    start: Start, config: Path, forge: Forge, postgres_server: Callable[..., object]
) -> None:
    """A crash of the database in the middle: the service stays, and explains what is new when it is back."""
    server = postgres_server(fast=False)
    app = start(_moved(config, server.url()), "run")
    app.until(lambda: bool(app.events("issue.explained")))

    server.stop(signal.SIGQUIT)
    before = forge.wanted(REPOSITORIES)
    while not forge.wanted(REPOSITORIES) - before:
        forge.grow()
    app.until(lambda: any("Database" in str(line.get("caused_by")) for line in app.events("retry.scheduled")))
    server.start()
    app.until(lambda: forge.wanted(REPOSITORIES) - before <= set(forge.marked()))  # of the others, some wait a minute
    app.signal(signal.SIGTERM)

    assert app.end() == 0
    assert set(forge.marked().values()) == {1}
    assert not any("Traceback" in line for line in app.lines)


@pytest.mark.parametrize("command", ["run", "check"])
def test_an_unreachable_server_is_one_clear_error(start: Start, config: Path, forge: Forge, command: str) -> None:
    """Exit 2; where it looked and what to do, no traceback and no password; the forge was not asked."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers there
        port = taken.getsockname()[1]
        app = start(_moved(config, f"postgresql://app:pa55word@127.0.0.1:{port}/longrun"), command)

        code = app.end(20)

    said = "\n".join(app.lines) + app.output()
    assert code == 2
    assert f"postgresql://app@127.0.0.1:{port}/longrun?schema=workflow: " in said
    assert "see that the server runs" in said
    assert "Traceback" not in said
    assert "pa55word" not in said
    assert len([line for line in app.lines if line.startswith("error: ")]) == 1
    assert forge.requests() == []


def _explained(forge: Forge) -> bool:
    return forge.wanted(REPOSITORIES) <= set(forge.marked())


def _moved(config: Path, url: str) -> Path:
    lines = config.read_text(encoding="utf-8").splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.strip().startswith("url =")]
    lines[place] = f'url = "{url}"'
    config.write_text("\n".join(lines), encoding="utf-8")
    return config


def _rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()
