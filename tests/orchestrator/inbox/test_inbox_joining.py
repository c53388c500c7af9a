"""Intents in the transactions of others: of sqlite3, of psycopg, of SQLAlchemy."""

import sqlite3

import psycopg
import pytest

from orchestrator.inbox import Inbox, Intent, InvalidPayload
from orchestrator.inbox.errors import WrongConnection

pytestmark = pytest.mark.anyio


@pytest.fixture
async def on_sqlite(tmp_path, anyio_backend):
    """An inbox in a file."""
    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        yield inbox


@pytest.fixture
async def on_postgres(postgres_url, anyio_backend):
    """An inbox on a server."""
    async with Inbox.open(postgres_url) as inbox:
        yield inbox


async def payloads(inbox):
    """Of all that is stored, in order."""
    return [run.payload for run in reversed((await inbox.list()).runs)]


@pytest.mark.parametrize("level", [None, "", "IMMEDIATE"])
@pytest.mark.parametrize("cursor", [False, True])
async def test_a_connection_of_sqlite3_is_joined_whatever_its_mode(on_sqlite, tmp_path, level, cursor):
    """What is rolled back takes the intent with it, what is committed brings it."""
    connection = sqlite3.connect(tmp_path / "state.db", isolation_level=level)
    given = connection.cursor() if cursor else connection

    def begin():
        if level is None:
            connection.execute("BEGIN")

    begin()
    on_sqlite.submit_in(given, "mail.v1", "lost", idempotency_key="a")
    assert connection.in_transaction
    connection.rollback()
    begin()
    first = on_sqlite.submit_in(given, "mail.v1", "kept", idempotency_key="a")
    again = on_sqlite.submit_in(given, "mail.v1", "again", idempotency_key="a")
    connection.commit()
    connection.close()

    assert await payloads(on_sqlite) == ['"kept"']
    assert (first == again, first.existed, again.existed) == (True, False, True)


async def test_without_a_transaction_an_intent_is_stored_at_once_and_whole(on_sqlite, tmp_path):
    """With its event, or not at all."""
    with sqlite3.connect(tmp_path / "state.db", isolation_level=None) as connection:
        run_id = on_sqlite.submit_in(connection, "mail.v1", 1)
        in_transaction = connection.in_transaction
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON workflow_event BEGIN SELECT RAISE(ABORT, 'no'); END")
        with pytest.raises(sqlite3.IntegrityError):
            on_sqlite.submit_in(connection, "mail.v1", 2)
    connection.close()

    assert not in_transaction
    assert await payloads(on_sqlite) == ["1"]
    assert [event.type for event in await on_sqlite.events(run_id)] == ["created"]


async def test_a_refused_intent_leaves_the_callers_own_changes(on_sqlite, tmp_path):
    """Nothing of it is in the transaction, which may be committed."""
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("CREATE TABLE mine (x)")
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON workflow_event BEGIN SELECT RAISE(ABORT, 'no'); END")
        connection.execute("INSERT INTO mine VALUES (1)")
        with pytest.raises(sqlite3.IntegrityError):
            on_sqlite.submit_in(connection, "mail.v1", 2)
        connection.commit()
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (1,)
    connection.close()

    assert await payloads(on_sqlite) == []


@pytest.mark.parametrize("cursor", [False, True])
async def test_a_connection_of_psycopg_is_joined(on_postgres, postgres_url, cursor):
    """Its search_path is its own."""
    with psycopg.connect(postgres_url) as connection:
        given = connection.cursor() if cursor else connection
        on_postgres.submit_in(given, "mail.v1", "lost")
        connection.rollback()
        ids = on_postgres.submit_many_in(given, [Intent("mail.v1", 1, idempotency_key="k"), Intent("mail.v1", 2)])
        again = on_postgres.submit_in(given, "mail.v1", 3, idempotency_key="k")
        connection.commit()

    assert await payloads(on_postgres) == ["1", "2"]
    assert (again, again.existed) == (ids[0], True)


async def test_a_wrong_payload_leaves_the_callers_transaction_as_it_was(on_postgres, postgres_url):
    """It is found before anything is sent."""
    with psycopg.connect(postgres_url) as connection:
        on_postgres.submit_in(connection, "mail.v1", 1)
        with pytest.raises(InvalidPayload):
            on_postgres.submit_in(connection, "mail.v1", float("nan"))
        assert on_postgres.submit_many_in(connection, []) == []
        connection.commit()

    assert await payloads(on_postgres) == ["1"]


async def test_a_connection_to_another_kind_of_database_is_refused_by_name(on_sqlite, on_postgres, postgres_url):
    """With the kinds that are taken."""
    with psycopg.connect(postgres_url) as theirs, pytest.raises(WrongConnection, match=r"psycopg\.Connection is no"):
        on_sqlite.submit_in(theirs, "mail.v1", 1)
    mine = sqlite3.connect(":memory:")
    with pytest.raises(WrongConnection, match=r"sqlite3\.Connection is no connection to PostgreSQL.*psycopg"):
        on_postgres.submit_in(mine, "mail.v1", 1)
    mine.close()
    for nonsense in (None, 7, "postgresql://localhost"):
        with pytest.raises(TypeError, match="pass the connection of the transaction"):
            on_postgres.submit_in(nonsense, "mail.v1", 1)
        with pytest.raises(WrongConnection, match="is no connection to SQLite"):
            on_sqlite.submit_in(nonsense, "mail.v1", 1)
    with pytest.raises(WrongConnection, match=r"builtins\.str.*Inbox\.open"):
        Inbox.over("postgresql://localhost")


async def test_a_connection_to_a_database_without_the_tables_is_refused_and_told_where_they_are(
    on_sqlite, on_postgres, postgres_url
):
    """The caller's own changes can be committed all the same in SQLite."""
    with sqlite3.connect(":memory:") as other:
        other.execute("CREATE TABLE mine (n)")
        other.execute("INSERT INTO mine VALUES (1)")
        with pytest.raises(WrongConnection, match=r"no such table: workflow_run.*this inbox is in .*state\.db: pass"):
            on_sqlite.submit_in(other, "mail.v1", 1)
        assert other.execute("SELECT n FROM mine").fetchall() == [(1,)]
    with psycopg.connect(postgres_url) as other:
        other.execute("DROP SCHEMA workflow CASCADE")
        with pytest.raises(
            WrongConnection, match=r"workflow_run.* does not exist.*this inbox is in postgresql://.*pass"
        ):
            on_postgres.submit_in(other, "mail.v1", 1)
        other.rollback()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_async_connection_is_refused_with_the_way_that_works(on_postgres, postgres_url):
    """The intent is written synchronously."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        with pytest.raises(WrongConnection, match="run_sync"):
            on_postgres.submit_in(connection, "mail.v1", 1)


async def test_workers_here_are_told_after_the_commit_of_a_unit_of_work(on_sqlite, on_postgres):
    """Never of one that was rolled back."""
    for inbox in (on_sqlite, on_postgres):
        rings = inbox.bell.rings

        def fails(connection, inbox=inbox):
            inbox.submit_in(connection, "mail.v1", 1)
            raise LookupError

        with pytest.raises(LookupError):
            await inbox.database.transaction(fails)
        assert inbox.bell.rings == rings
        await inbox.database.transaction(lambda c, inbox=inbox: inbox.submit_in(c, "mail.v1", 1))
        assert inbox.bell.rings == rings + 1


@pytest.fixture
def alchemy():
    """SQLAlchemy, where it is installed."""
    return pytest.importorskip("sqlalchemy")


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request, alchemy, tmp_path):
    """An engine and the inbox on the same database, of each kind."""
    if request.param == "sqlite":
        inbox = request.getfixturevalue("on_sqlite")
        engine = alchemy.create_engine(f"sqlite:///{tmp_path}/state.db")
    else:
        inbox = request.getfixturevalue("on_postgres")
        url = request.getfixturevalue("postgres_url").replace("postgresql://", "postgresql+psycopg://")
        engine = alchemy.create_engine(url)
    yield engine, inbox
    engine.dispose()


async def test_sessions_and_connections_of_sqlalchemy_are_joined(engine, alchemy):
    """With what they change themselves."""
    from sqlalchemy.orm import Session, scoped_session, sessionmaker

    engine, inbox = engine
    with engine.begin() as connection:
        connection.execute(alchemy.text("CREATE TABLE mine (x INT)"))

    with Session(engine) as session:
        session.execute(alchemy.text("INSERT INTO mine VALUES (1)"))
        inbox.submit_in(session, "mail.v1", "lost")
        session.rollback()
        session.execute(alchemy.text("INSERT INTO mine VALUES (2)"))
        first = inbox.submit_in(session, "mail.v1", 2, idempotency_key="k")
        again = inbox.submit_in(session, "mail.v1", 2, idempotency_key="k")
        session.commit()
    with engine.connect() as connection:
        inbox.submit_in(connection, "mail.v1", 3)
        connection.commit()
        rows = [row[0] for row in connection.execute(alchemy.text("SELECT x FROM mine"))]
    scoped = scoped_session(sessionmaker(engine))
    inbox.submit_in(scoped, "mail.v1", 4)
    scoped.commit()
    scoped.remove()

    assert rows == [2]
    assert (again, again.existed) == (first, True)
    assert await payloads(inbox) == ["2", "3", "4"]


async def test_workers_elsewhere_are_told_after_the_commit_of_a_session(engine, alchemy):
    """Once for each commit that stored something due, not for one that was rolled back."""
    from sqlalchemy.orm import Session

    engine, inbox = engine
    told = []
    inbox.announcer._notify = told.append

    with Session(engine) as session:
        inbox.submit_in(session, "mail.v1", 1)
        session.rollback()
        session.commit()
        inbox.submit_in(session, "mail.v1", 2)
        inbox.submit_in(session, "mail.v1", 3)
        assert told == []
        session.commit()
        session.commit()

    assert told == ([""] if engine.dialect.name == "postgresql" else [])


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("driver", ["aiosqlite", "psycopg"])
async def test_an_async_session_is_joined_in_run_sync(request, alchemy, tmp_path, driver):
    """Given itself, it is refused with that advice."""
    if driver == "aiosqlite":
        pytest.importorskip("aiosqlite")
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    if driver == "aiosqlite":
        url, theirs = f"sqlite://{tmp_path}/state.db", f"sqlite+aiosqlite:///{tmp_path}/state.db"
    else:
        url = request.getfixturevalue("postgres_url")
        theirs = url.replace("postgresql://", "postgresql+psycopg_async://")
    engine = create_async_engine(theirs)
    async with Inbox.open(url) as inbox:
        async with AsyncSession(engine) as session:
            with pytest.raises(WrongConnection, match="run_sync"):
                inbox.submit_in(session, "mail.v1", 0)
            await session.run_sync(lambda s: inbox.submit_in(s, "mail.v1", "lost"))
            await session.rollback()
            first = await session.run_sync(lambda s: inbox.submit_in(s, "mail.v1", 1, idempotency_key="k"))
            again = await session.run_sync(lambda s: inbox.submit_in(s, "mail.v1", 1, idempotency_key="k"))
            await session.commit()
        stored = await payloads(inbox)
    await engine.dispose()

    assert stored == ["1"]
    assert (again, again.existed) == (first, True)
