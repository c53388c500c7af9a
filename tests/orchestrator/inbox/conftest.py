"""A PostgreSQL database with the tables of the inbox."""

from datetime import UTC, datetime

import psycopg
import pytest

from orchestrator.inbox.ids import RunIds
from orchestrator.inbox.store.postgres.store import PostgresStore
from orchestrator.inbox.store.records import NewRun

IDS = RunIds(lambda: datetime.now(UTC))


def new(type="mail.v1", key=None, **options):  # noqa: A002 - the wire's own word
    """A new run with an id of its own."""
    return NewRun(IDS(), type, '{"n": 1}', key, 100, 0.0, None, 3, **options)


@pytest.fixture
def store():
    return PostgresStore()


@pytest.fixture
def connect(postgres_url, store):
    """Connections to a database with the tables."""
    opened = []

    def call(**options):
        opened.append(psycopg.connect(postgres_url, autocommit=True, **options))
        return opened[-1]

    first = call()
    first.execute("CREATE SCHEMA workflow")
    for step in store.steps:
        first.execute(step, prepare=False)
    yield call
    for connection in opened:
        connection.close()


@pytest.fixture
def connection(connect):
    return connect()
