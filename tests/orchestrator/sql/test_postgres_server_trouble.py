"""A server that is away, full, closing, or lets nobody in."""

import signal
import socket
import subprocess
import sys

import anyio
import psycopg
import pytest

from orchestrator.sql import (
    AccessDenied,
    ConnectionLost,
    DatabaseUnreachable,
    DatabaseUrlError,
    DriverMissing,
    ServerReadOnly,
    SqlError,
    StateDatabase,
    TooManyConnections,
    UnknownDatabase,
    open_database,
)
from orchestrator.sql.postgres import PostgresDatabase

pytestmark = [pytest.mark.slow, pytest.mark.anyio]

TABLE = "CREATE TABLE thing (name TEXT)"


def insert(connection, name="a"):
    connection.execute("INSERT INTO thing (name) VALUES (?)", (name,))


def names(connection):
    return [row["name"] for row in connection.execute("SELECT name FROM thing")]


async def opening(url):
    """The error with which opening *url* ends."""
    with pytest.raises(SqlError) as caught:
        async with open_database(url):
            pass
    assert caught.value.exit_code == 2
    return caught.value


async def test_a_server_that_is_not_there_is_named():
    """With its address as it was resolved, worth another try."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

        error = await opening(f"postgresql://me:secret@127.0.0.1:{port}/shop")

    assert type(error) is DatabaseUnreachable
    assert error.retryable
    assert f"postgresql://me@127.0.0.1:{port}/shop?schema=workflow: " in str(error)
    assert "secret" not in str(error)
    assert "\n" not in str(error)


async def test_a_host_without_an_address_is_named():
    """A mistyped name is found out like a server that is away."""
    error = await opening("postgresql://me@nowhere.invalid/shop")

    assert type(error) is DatabaseUnreachable
    assert "nowhere.invalid" in str(error)


async def test_a_server_that_does_not_answer_is_given_up():
    """After the URL's connect_timeout (libpq knows no shorter one than two seconds)."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()

        error = await opening(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/shop?connect_timeout=1")

    assert type(error) is DatabaseUnreachable
    assert "timeout" in str(error)


async def test_a_database_that_is_not_there_is_named(postgres_url):
    """Trying again would not help."""
    error = await opening(postgres_url + "_missing")

    assert type(error) is UnknownDatabase
    assert error.permanent
    assert "createdb" in str(error)


async def test_a_role_that_is_not_there_is_named(postgres_url):
    """Trying again would not help."""
    error = await opening(postgres_url.replace("//postgres@", "//nobody_of_that_name@"))

    assert type(error) is AccessDenied
    assert error.permanent


async def test_a_wrong_password_is_never_printed(postgres_server):
    """Neither in the error nor in its cause."""
    server = postgres_server(hba="host all locked 127.0.0.1/32 scram-sha-256\n")
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")

    wrong = await opening(server.url().replace("//postgres@", "//locked:wr0ng@"))
    without = await opening(server.url(user="locked"))
    async with open_database(server.url().replace("//postgres@", "//locked:right@")) as database:
        assert await database.read(lambda c: c.execute("SELECT current_user").fetchone()[0]) == "locked"

    assert [type(wrong), type(without)] == [AccessDenied, AccessDenied]
    assert "PGPASSWORD" in str(wrong)
    assert "wr0ng" not in f"{wrong} {wrong.where} {wrong.__cause__}"


async def test_a_server_without_room_for_connections_is_worth_another_try(postgres_server):
    """At the start, and for a pool that grows; what is open goes on."""
    server = postgres_server(
        settings={"max_connections": "4", "superuser_reserved_connections": "0", "max_wal_senders": "0"}
    )
    async with PostgresDatabase.open(server.url(), size=8) as database:
        others = [psycopg.connect(server.url()) for _ in range(3)]

        error = await opening(server.url())
        with pytest.raises(TooManyConnections):
            await database.transaction(lambda c: anyio.from_thread.run(database.read, lambda d: None))
        still = await database.read(lambda c: c.execute("SELECT 1").fetchone()[0])
        for other in others:
            other.close()

    assert type(error) is TooManyConnections
    assert error.retryable
    assert "max_connections" in str(error)
    assert still == 1


async def test_a_server_that_refuses_writes_is_found_out_when_opened(postgres_url):
    """And later, when it becomes so; it may be the primary again a moment later."""
    async with PostgresDatabase.open(postgres_url) as database:
        await database.migrate("things", [TABLE])
        await database.transaction(lambda c: c.execute("SET SESSION default_transaction_read_only = on") and None)

        with pytest.raises(ServerReadOnly, match=r"read-only.*primary") as caught:
            await database.transaction(insert)
        await database.transaction(insert)  # on a new connection

    error = await opening(postgres_url + "?options=-c%20default_transaction_read_only%3Don")

    assert (caught.value.retryable, caught.value.permanent) == (True, False)
    assert type(error) is ServerReadOnly
    assert "default_transaction_read_only is on" in str(error)


async def test_a_restart_of_the_server_is_survived(postgres_server):
    """What was stored is there, what was under way is told, what comes later goes on."""
    server = postgres_server()
    async with PostgresDatabase.open(server.url(), size=2) as database:
        await database.migrate("things", [TABLE])
        await database.transaction(insert)

        def work(connection):
            insert(connection, "lost")
            server.stop(signal.SIGINT)
            insert(connection, "lost too")

        with pytest.raises(ConnectionLost, match="nothing of this transaction was stored"):
            await database.transaction(work)
        with pytest.raises(DatabaseUnreachable):
            await database.read(names)
        server.start()

        assert await database.read(names) == ["a"]


@pytest.mark.slow
async def test_what_was_stored_survives_a_crash_of_the_server(postgres_server):
    """With every sync in place, as a production server has it."""
    server = postgres_server(fast=False)
    async with PostgresDatabase.open(server.url(), size=2) as database:
        await database.migrate("things", [TABLE])
        for number in range(20):
            await database.transaction(lambda c, n=number: insert(c, str(n)))
        server.stop(signal.SIGQUIT)
        server.start()

        assert await database.read(names) == [str(number) for number in range(20)]


async def test_a_service_starts_with_one_clear_error_without_the_driver(monkeypatch):
    """It names the extra; nothing is opened."""
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(DriverMissing, match=r"me:\*\*\*@host.*longrun-orchestrator\[postgres\]") as caught:
        StateDatabase("postgresql://me:secret@host/shop")

    assert caught.value.permanent


def test_sqlite_needs_no_driver():
    """Nothing of PostgreSQL is imported for it."""
    code = "import sys, orchestrator.sql as s; s.StateDatabase('sqlite://x'); sys.exit('psycopg' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_bad_url_is_found_out_when_the_service_is_built():
    """Before anything is opened."""
    with pytest.raises(DatabaseUrlError, match="names its schema 2 times"):
        StateDatabase("postgresql://u@h/d?schema=a&search_path=b")
