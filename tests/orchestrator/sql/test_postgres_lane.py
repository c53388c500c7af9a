"""Lanes: single statements on a connection of their own, awaited in the event loop."""

import anyio
import psycopg
import pytest

from orchestrator.sql import (
    ConnectionLost,
    DatabaseClosed,
    DatabaseUnreachable,
    ServerStopping,
    StatementTimeout,
    open_database,
)
from tests.loops import LOOPS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    """Every event loop that there is."""
    return request.param


PID = "SELECT pg_backend_pid()"


@pytest.fixture
async def database(postgres_url):
    """An open one, with a table."""
    async with open_database(postgres_url) as opened:
        await opened.migrate("mine", ["CREATE TABLE mine (x int CHECK (x < 100))"])
        yield opened


@pytest.fixture
async def lane(database):
    """One of its lanes."""
    return database.lane("SET jit = off; SET work_mem = '5MB'")


async def count(database):
    """Rows of the table, as others see them."""
    return await database.read(lambda connection: connection.execute("SELECT count(*) FROM mine").fetchone()[0])


async def pid(lane):
    """The process of the server behind it."""
    ((found,),) = await lane.fetch(PID, {})
    return found


async def cut(database, process):
    """End it, and wait until it has gone."""
    await database.transaction(lambda connection: connection.execute("SELECT pg_terminate_backend(?)", (process,)))
    alive = "SELECT count(*) FROM pg_stat_activity WHERE pid = ?"
    gone = False
    while not gone:
        gone = not await database.read(lambda connection: connection.execute(alive, (process,)).fetchone()[0])


async def test_values_are_texts_and_rows_have_the_types_of_their_columns(lane):
    """Names in any order and more than once; None is NULL; %% is one sign."""
    statement = "SELECT %(n)s::int, %(t)s::text, %(n)s::float8, %(none)s::uuid, '100%%', %(many)s::text[], true"

    rows = await lane.fetch(statement, {"t": "a'b", "n": "7", "none": None, "many": '{a,"b c"}'})

    assert rows == [(7, "a'b", 7.0, None, "100%", ["a", "b c"], True)]
    assert await lane.fetch("SELECT 1 WHERE false", {}) == []
    assert await lane.fetch("SET work_mem = '6MB'", {}) == []


async def test_its_session_is_prepared_and_so_is_each_statement_once(lane):
    """Whatever its values."""
    for number in range(5):
        await lane.fetch("INSERT INTO mine VALUES (%(x)s::int)", {"x": str(number)})

    known = await lane.fetch("SELECT statement FROM pg_prepared_statements", {})
    assert [text for (text,) in known if text.startswith("INSERT")] == ["INSERT INTO mine VALUES ($1::int)"]
    assert await lane.fetch("SHOW work_mem", {}) == [("5MB",)]


async def test_it_is_read_committed_whatever_the_server_prefers(lane, database):
    """As units of work are: statements that change the same rows wait for each other, and do not fail."""
    await database.transaction(
        lambda connection: connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', "
            "current_database()); END $$"
        )
    )

    assert await lane.fetch("SHOW transaction_isolation", {}) == [("read committed",)]
    async with lane.transaction():
        await lane.send("SHOW transaction_isolation", {})
        assert await lane.rows() == [("read committed",)]


async def test_what_is_said_of_a_statement_leaves_the_lane_as_it_was(lane, database):
    """Its own error for what the values are, a typed one for what the database is; the session stays."""
    before = await pid(lane)
    with pytest.raises(psycopg.errors.CheckViolation):
        await lane.fetch("INSERT INTO mine VALUES (%(x)s::int)", {"x": "100"})
    with pytest.raises(psycopg.errors.SyntaxError):
        await lane.fetch("SELEKT", {})
    await lane.fetch("SET statement_timeout = 20", {})
    with pytest.raises(StatementTimeout):
        await lane.fetch("SELECT pg_sleep(10)", {})

    assert await pid(lane) == before
    assert await count(database) == 0


async def test_a_connection_that_was_lost_meanwhile_fails_nobody(lane, database):
    """The next statement has a new one, prepared as the first was."""
    first = await pid(lane)
    await cut(database, first)

    assert await pid(lane) != first
    assert await lane.fetch("SHOW work_mem", {}) == [("5MB",)]


async def test_a_connection_that_is_lost_under_a_statement_leaves_its_outcome_unknown(lane, database):
    """The end of a statement is its commit. A server that says why it stops has stored nothing."""
    process = await pid(lane)
    async with anyio.create_task_group() as tg:
        tg.start_soon(cut, database, process)
        with pytest.raises((ConnectionLost, ServerStopping)) as lost:
            await lane.fetch("SELECT pg_sleep(30)", {})

    assert isinstance(lost.value, ServerStopping) or lost.value.outcome_unknown
    assert await lane.fetch("SELECT 1", {}) == [(1,)]


async def test_one_that_is_cancelled_in_the_middle_begins_anew(lane, database):
    """Nobody reads the answer that was meant for somebody else."""
    before = await pid(lane)
    with anyio.move_on_after(0.05) as limit:
        await lane.fetch("SELECT pg_sleep(0.3), 'late'", {})

    assert limit.cancelled_caught
    assert await lane.fetch("SELECT 'mine'", {}) == [("mine",)]
    assert await pid(lane) != before


async def test_a_statement_may_be_larger_than_what_the_socket_takes(lane):
    """It is sent in parts."""
    large = "x" * 20_000_000

    assert await lane.fetch("SELECT length(%(t)s::text)", {"t": large}) == [(20_000_000,)]
    ((back,),) = await lane.fetch("SELECT %(t)s::text", {"t": large})
    assert back == large


async def test_a_transaction_is_stored_whole_or_not_at_all(lane, database):
    """Statements go out before the answer to the one before is asked for by others; nobody sees it half."""
    async with lane.transaction():
        for number in range(3):
            await lane.send("INSERT INTO mine VALUES (%(x)s::int)", {"x": str(number)})
            assert await lane.rows() == []
        assert await count(database) == 0
    assert await count(database) == 3

    async def changed_my_mind():
        async with lane.transaction():
            await lane.send("INSERT INTO mine VALUES (9)", {})
            raise KeyError

    async def refused():
        async with lane.transaction():
            await lane.send("INSERT INTO mine VALUES (100)", {})
            await lane.rows()

    with pytest.raises(KeyError):
        await changed_my_mind()
    with pytest.raises(psycopg.errors.CheckViolation):
        await refused()

    assert await count(database) == 3
    assert await lane.fetch("SELECT 1", {}) == [(1,)]


async def test_a_transaction_that_loses_its_connection_is_never_called_stored(lane, database):
    """Not even when the connection is gone before it is committed: a new one has nothing to commit."""
    process = await pid(lane)

    async def lost():
        async with lane.transaction():
            await lane.send("INSERT INTO mine VALUES (1)", {})
            await lane.rows()
            await cut(database, process)

    with pytest.raises(ConnectionLost):
        await lost()

    assert await count(database) == 0


async def test_a_lane_ends_with_its_database(postgres_url):
    """And says where it may be used; so does one that is asked for too late."""
    async with open_database(postgres_url) as database:
        lane = database.lane()
        process = await pid(lane)
    async with open_database(postgres_url) as other:
        alive = await other.read(
            lambda c: c.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = ?", (process,)).fetchone()[0]
        )

    assert alive in (0, 1)  # the server may need a moment
    for late in (lane, database.lane()):
        with pytest.raises(DatabaseClosed, match="async with"):
            await late.fetch("SELECT 1", {})


async def test_a_server_that_cannot_be_reached_is_one_typed_error(database, monkeypatch):
    """As for a unit of work."""
    lane = database.lane()
    monkeypatch.setitem(database._pool._parameters, "port", "1")

    with pytest.raises(DatabaseUnreachable):
        await lane.fetch("SELECT 1", {})
