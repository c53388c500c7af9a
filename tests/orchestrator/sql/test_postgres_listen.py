"""LISTEN and NOTIFY."""

import logging
import signal

import anyio
import psycopg
import pytest

from orchestrator.sql.postgres import PostgresDatabase
from tests.loops import LOOPS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS)
def anyio_backend(request):
    """Every event loop that there is."""
    return request.param


class Ears:
    """Keeps what was heard; wait_for() returns when a notification has come."""

    def __init__(self):
        self.heard = []
        self._news = anyio.Event()

    def __call__(self, channel, payload):
        self.heard.append((channel, payload))
        news, self._news = self._news, anyio.Event()
        news.set()

    async def wait_for(self, *wanted):
        with anyio.fail_after(20):
            while not set(wanted) <= set(self.heard):
                await self._news.wait()


async def until(listening, ears, up):
    """Wait until the connection is as wanted: each change is heard."""
    with anyio.fail_after(20):
        while listening.up is not up:
            await ears._news.wait()


@pytest.fixture
async def database(postgres_url, anyio_backend):
    """A database that listens and notifies."""
    async with PostgresDatabase.open(postgres_url, size=2) as opened:
        yield opened


def listeners(url):
    """The server processes that listen, by what they did last."""
    with psycopg.connect(url, autocommit=True) as other:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'"
        return [pid for (pid,) in other.execute(query).fetchall()]


def kill(url, pids):
    with psycopg.connect(url, autocommit=True) as other:
        for pid in pids:
            other.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))


async def test_a_notification_reaches_who_listens_to_its_channel(database):
    """Names are quoted: any will do, and case counts."""
    ears, others = Ears(), Ears()
    async with database.listen(["my-channel", 'Strange "one"'], ears) as listening, database.listen(["other"], others):
        await until(listening, ears, True)

        database.notify("my-channel", "hello")
        database.notify('Strange "one"')
        await ears.wait_for(("my-channel", "hello"), ('Strange "one"', ""))

    assert "hello" not in str(others.heard)


async def test_both_databases_of_two_processes_meet(database, postgres_url):
    """What one stores, pollers of the other hear of."""
    ears = Ears()
    async with database.listen(["work"], ears) as listening, PostgresDatabase.open(postgres_url) as producer:
        await until(listening, ears, True)

        producer.notify("work", "there is some")

        await ears.wait_for(("work", "there is some"))


async def test_a_producer_that_ends_at_once_has_told(database, postgres_url):
    """Closing sends what is pending."""
    ears = Ears()
    async with database.listen(["work"], ears) as listening:
        await until(listening, ears, True)
        async with PostgresDatabase.open(postgres_url) as producer:
            for number in range(3):
                producer.notify("work", str(number))

        await ears.wait_for(*(("work", str(number)) for number in range(3)))


async def test_many_notifications_are_few_statements(database, postgres_url):
    """Equal ones that come together are one."""
    ears = Ears()
    async with database.listen(["work"], ears) as listening:
        await until(listening, ears, True)
        ears.heard.clear()
        for _ in range(5000):
            database.notify("work", "same")
        database.notify("work", "last")

        await ears.wait_for(("work", "last"))

    assert 1 <= ears.heard.count(("work", "same")) < 500


async def test_one_connection_serves_all_who_listen(database, postgres_url):
    """Who leaves hears no more, the others do."""
    first, second = Ears(), Ears()
    async with database.listen(["work"], first) as listening:
        async with database.listen(["work", "more"], second) as more:
            await until(more, second, True)
            await until(listening, first, True)
            assert len(listeners(postgres_url)) == 1
            database.notify("work", "one")
            await first.wait_for(("work", "one"))
            await second.wait_for(("work", "one"))

        database.notify("work", "two")
        await first.wait_for(("work", "two"))

    assert ("work", "two") not in second.heard


async def test_a_broken_connection_is_told_and_comes_back(database, postgres_url, caplog):
    """Each channel is rung at both moments; what is sent after that is heard."""
    ears = Ears()
    with caplog.at_level(logging.WARNING, "orchestrator.sql"):
        async with database.listen(["work"], ears) as listening:
            await until(listening, ears, True)
            ears.heard.clear()

            kill(postgres_url, listeners(postgres_url))
            while len(ears.heard) < 2:
                await ears._news.wait()
            await until(listening, ears, True)
            database.notify("work", "again")
            await ears.wait_for(("work", "again"))

    assert ears.heard[:2] == [("work", ""), ("work", "")]
    assert "pollers poll faster" in caplog.text


@pytest.mark.slow
async def test_a_server_that_is_away_is_waited_for(postgres_server, caplog):
    """Meanwhile nobody claims to hear; notifying harms nobody."""
    server = postgres_server()
    ears = Ears()
    with caplog.at_level(logging.WARNING, "orchestrator.sql"):
        async with (
            PostgresDatabase.open(server.url(), size=1) as database,
            database.listen(["work"], ears) as listening,
        ):
            await until(listening, ears, True)
            server.stop(signal.SIGQUIT)
            await until(listening, ears, False)
            database.notify("work", "into the void")

            server.start()
            await until(listening, ears, True)
            database.notify("work", "back")
            await ears.wait_for(("work", "back"))


async def test_a_callback_that_raises_stops_nobody(database, caplog):
    """It is logged with its channel, and the next notification is delivered."""
    ears = Ears()

    def bad(channel, payload):
        raise KeyError("mine")

    async with database.listen(["work"], bad), database.listen(["work"], ears) as listening:
        await until(listening, ears, True)
        database.notify("work", "x")
        await ears.wait_for(("work", "x"))

    assert "callback for notifications on 'work' failed" in caplog.text


@pytest.mark.parametrize("channel", ["", "x" * 64, "a\0b"])
async def test_a_channel_that_the_server_would_change_is_refused(database, channel):
    """With its name."""
    with pytest.raises(ValueError, match="the channel is"):
        database.notify(channel)
    with pytest.raises(ValueError, match="the channel is"):
        async with database.listen([channel], lambda *_: None):
            pass


@pytest.mark.parametrize("payload", ["x" * 8000, "a\0b"])
async def test_a_payload_that_the_server_would_refuse_is_refused(database, payload):
    """Before it spoils a batch."""
    with pytest.raises(ValueError, match="at most 7999 bytes"):
        database.notify("work", payload)


async def test_a_storm_of_listeners_comes_and_goes(database):
    """Each hears what was sent while it listened."""

    async def one(number):
        ears = Ears()
        async with database.listen([f"c{number % 5}"], ears) as listening:
            await until(listening, ears, True)
            database.notify(f"c{number % 5}", str(number))
            await ears.wait_for((f"c{number % 5}", str(number)))

    async with anyio.create_task_group() as group:
        for number in range(60):
            group.start_soon(one, number)
