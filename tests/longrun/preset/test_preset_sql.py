"""preset.sql: real SQLite locks, and the shapes of the other drivers' errors."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import longrun
from longrun import preset
from longrun.backoff import constant
from longrun.testing import Script

pytestmark = pytest.mark.anyio

QUICK = constant(0)


def driver(package: str, name: str, *args: object, **attributes: Any) -> Exception:
    """An error of a driver that is not installed, shaped as PEP 249 has it."""
    root = type("Error", (Exception,), {"__module__": package})
    database = type("DatabaseError", (root,), {"__module__": package})
    kind = type(name, (database,), {"__module__": package})
    error: Exception = kind(*args)
    for key, value in attributes.items():
        setattr(error, key, value)
    return error


class TestSqlite:
    """With a real file and a real lock, so in real time."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    async def test_a_locked_database_is_written_when_the_lock_is_gone(self, tmp_path: Path) -> None:
        """The other transaction ends between two attempts."""
        path = tmp_path / "state.db"
        holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        holder.execute("CREATE TABLE t (n)")
        holder.execute("BEGIN EXCLUSIVE")
        attempts = 0

        def write() -> int:
            nonlocal attempts
            attempts += 1
            if attempts == 3:
                holder.execute("COMMIT")
            with closing(sqlite3.connect(path, timeout=0)) as writer, writer:
                writer.execute("INSERT INTO t VALUES (1)")
            return attempts

        result = await longrun.do(longrun.blocking(write), preset.sql(backoff=QUICK))
        rows = holder.execute("SELECT n FROM t").fetchall()
        holder.close()

        assert result == 3
        assert rows == [(1,)]

    async def test_a_mistake_in_sql_is_not_repeated(self, tmp_path: Path) -> None:
        """It is an OperationalError too."""
        attempts = 0

        def read() -> None:
            nonlocal attempts
            attempts += 1
            with closing(sqlite3.connect(tmp_path / "state.db")) as reader:
                reader.execute("SELECT * FROM missing")

        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await longrun.do(longrun.blocking(read), preset.sql(backoff=QUICK))

        assert attempts == 1


CONFLICTS = [
    driver("psycopg", "SerializationFailure", sqlstate="40001"),
    driver("asyncpg", "DeadlockDetectedError", sqlstate="40P01"),
    driver("psycopg2", "OperationalError", pgcode="40001"),
    driver("pg8000", "DatabaseError", {"S": "ERROR", "C": "40P01"}),
    driver("pyodbc", "Error", "40001", "deadlock victim"),
    driver("pymysql", "OperationalError", 1213, "Deadlock found"),
    driver("mysql", "InternalError", "1205 (HY000)", errno=1205, sqlstate="HY000"),
    driver("sqlalchemy", "OperationalError", orig=driver("psycopg", "DeadlockDetected", sqlstate="40P01")),
    driver("sqlite3", "OperationalError", "database is locked"),
    driver("sqlite3", "OperationalError", "busy snapshot", sqlite_errorcode=517),
]
OUTAGES = [
    driver("psycopg", "OperationalError", "the connection is lost"),
    driver("psycopg", "OperationalError", "consuming input failed: server closed the connection unexpectedly"),
    driver("asyncpg", "ConnectionDoesNotExistError", sqlstate="08003"),
    driver("asyncpg", "CannotConnectNowError", sqlstate="57P03"),
    driver("psycopg", "AdminShutdown", sqlstate="57P01"),
    driver("psycopg", "CrashShutdown", sqlstate="57P02"),
    driver("psycopg", "TooManyConnections", sqlstate="53300"),
    driver("pymysql", "OperationalError", 2006, "MySQL server has gone away"),
    driver("asyncmy", "OperationalError", 2013, "Lost connection"),
    driver("sqlalchemy", "DBAPIError", connection_invalidated=True),
    driver("sqlalchemy", "InterfaceError", orig=driver("asyncpg", "InterfaceError", "connection is closed")),
    ConnectionRefusedError(),
    TimeoutError(),
]


@pytest.mark.parametrize("error", [*CONFLICTS, *OUTAGES], ids=repr)
async def test_what_passes_by_itself_is_run_again(error: Exception) -> None:
    """By SQLSTATE, by number, by result code, and by words where drivers have nothing else."""
    work = Script(error, "ok")

    assert await longrun.do(work, preset.sql()) == "ok"


@pytest.mark.parametrize(
    ("error", "curve"), [*((e, "conflict") for e in CONFLICTS), *((e, "connection") for e in OUTAGES)], ids=repr
)
async def test_conflicts_and_outages_have_a_curve_each(error: Exception, curve: str) -> None:
    """A conflict goes again soon; a failover takes its time."""
    work = Script(error, "ok")

    await longrun.do(work, preset.sql(backoff=constant(1), reconnect=constant(60)))

    assert work.started[1] - work.started[0] == pytest.approx(1 if curve == "conflict" else 60)


@pytest.mark.parametrize(
    "error",
    [
        driver("psycopg", "UniqueViolation", sqlstate="23505"),
        driver("psycopg", "SyntaxError", "connection refused", sqlstate="42601"),
        driver("psycopg", "ProtocolViolation", sqlstate="08P01"),
        driver("psycopg", "InvalidPassword", "FATAL: password authentication failed", sqlstate="28P01"),
        driver("psycopg", "QueryCanceled", sqlstate="57014"),
        driver("psycopg", "TransactionResolutionUnknown", sqlstate="08007"),
        driver("psycopg", "StatementCompletionUnknown", sqlstate="40003"),
        driver("pymysql", "IntegrityError", 1062, "Duplicate entry"),
        driver("pymysql", "OperationalError", 1045, "Access denied"),
        OSError(1205, "a number of the operating system's"),
        ValueError("database is locked"),
        KeyError(1213),
    ],
    ids=repr,
)
async def test_what_stays_is_not_run_again(error: Exception) -> None:
    """Constraints, mistakes, rights, and commits of which nobody knows; and numbers or words of strangers."""
    work = Script(error, "ok")

    with pytest.raises(type(error)):
        await longrun.do(work, preset.sql())

    assert work.calls == 1


@pytest.mark.parametrize("state", ["08007", "40003"])
async def test_a_commit_of_which_nobody_knows_is_run_again_when_told(state: str) -> None:
    """By the one who knows that twice is as good as once."""
    work = Script(driver("psycopg", "OperationalError", sqlstate=state), "ok")

    assert await longrun.do(work, preset.sql(unsafe=True)) == "ok"


async def test_the_retries_are_spent() -> None:
    """Six calls, and the driver's own error."""
    work = Script(CONFLICTS[0])

    with pytest.raises(type(CONFLICTS[0])):
        await longrun.do(work, preset.sql())

    assert work.calls == 6


@pytest.mark.parametrize("options", [{"retries": -1}, {"timeout": 0}, {"backoff": "fast"}, {"reconnect": 3}], ids=str)
def test_nonsense_is_refused(options: dict[str, Any]) -> None:
    """At once, and by name."""
    with pytest.raises(ValueError, match=r"preset\.sql"):
        preset.sql(**options)
