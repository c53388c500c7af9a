"""The kinds of store that the contract suites run on, and short ways to use them."""

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import psycopg
import pytest

from orchestrator.inbox.store.postgres.store import PostgresStore
from orchestrator.inbox.store.records import Claimed, ClaimRequest, Failed, NewRun, Released, Settled, Succeeded
from orchestrator.inbox.store.sqlite.store import SqliteStore
from orchestrator.sql import migrations

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.time = NOON

    def __call__(self):
        return self.time

    def advance(self, seconds):
        self.time += timedelta(seconds=seconds)


class SqliteDesk:
    """A store on an SQLite database, and its connection."""

    def __init__(self, path, clock):
        self.store = SqliteStore(clock)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        migrations.apply(self.connection, "here", "inbox", self.store.steps, clock)

    @contextmanager
    def transaction(self):
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield self.connection
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise


class PostgresDesk:
    """A store on a PostgreSQL database, and its connection. Its time is the clock's, not the database's."""

    def __init__(self, url, clock):
        self.store = PostgresStore("work flow", now="current_setting('test.now')::timestamptz")
        self.clock = clock
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.execute('CREATE SCHEMA IF NOT EXISTS "work flow"')
        self.connection.execute('SET search_path = "work flow"')
        for step in self.store.steps:
            self.connection.execute(step, prepare=False)

    @contextmanager
    def transaction(self):
        with self.connection.transaction():
            self.connection.execute("SELECT set_config('test.now', %s, true)", [self.clock().isoformat()])
            yield self.connection


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["memory", "file", "postgres"])
def desk(request, tmp_path, clock):
    """A fresh store of each kind, at noon."""
    if request.param == "postgres":
        made = PostgresDesk(request.getfixturevalue("postgres_url"), clock)
    else:
        made = SqliteDesk(":memory:" if request.param == "memory" else tmp_path / "state.db", clock)
    yield made
    made.connection.close()


@pytest.fixture
def do(desk):
    """Call a unit of work of the store in a transaction of its own."""

    def call(name, *args, **options):
        with desk.transaction() as connection:
            return getattr(desk.store, name)(connection, *args, **options)

    return call


@pytest.fixture
def new():
    """A new run; the ids count up."""
    numbers = count(1)

    def call(type="mail.v1", **options):  # noqa: A002 - the wire's own word
        row = {"payload": "1", "idempotency_key": None, "priority": 100, "delay": 0.0, "run_at": None}
        return NewRun(type=type, **row | {"max_attempts": 3, "id": str(UUID(int=next(numbers))), **options})

    return call


@pytest.fixture
def submit(do, new):
    """Store one run."""
    return lambda *args, **options: do("insert", [new(*args, **options)])[0].id


@pytest.fixture
def claim(do):
    """Claim for worker ``w1`` what is due by now."""

    def call(worker="w1", types=("mail.v1",), limit=10, lease=30.0, **options):
        do("promote", 1000)
        return list(do("claim", ClaimRequest(worker, types, limit, lease, **options)))

    return call


@pytest.fixture
def settle(do):
    """Write one outcome; whether it was refused."""

    def call(claimed, outcome):
        hold = claimed.hold if isinstance(claimed, Claimed) else claimed
        return bool(do("settle", [Settled(hold, outcome)]))

    return call


@pytest.fixture
def history(do):
    """The types of a run's events."""
    return lambda run_id: [event.type for event in do("events", run_id)]


SUCCEED, RETRY, FAIL, RELEASE = Succeeded("1"), Failed("Boom: no", 60.0), Failed("Boom: no", None), Released()
