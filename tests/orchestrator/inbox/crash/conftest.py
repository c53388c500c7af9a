"""Databases with the tables of the inbox and of a storm."""

import pytest

from tests.orchestrator.inbox.crash.effects import FORGETFUL, prepare_postgres, prepare_sqlite
from tests.orchestrator.inbox.crash.storm import postgres_query, sqlite_query


@pytest.fixture
def server(postgres_server):
    """A server of the test's own, with the tables of a storm."""
    made = postgres_server(settings=FORGETFUL)
    prepare_postgres(made.url())
    return made


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    """A database of each kind: its URL, and how to ask it."""
    if request.param == "sqlite":
        prepare_sqlite(tmp_path / "state.db")
        with sqlite_query(tmp_path / "state.db") as query:
            yield f"sqlite://{tmp_path}/state.db", query
    else:
        url = request.getfixturevalue("postgres_url")
        prepare_postgres(url)
        yield url, postgres_query(url)
