"""Workers, producers and the database die at random, for seconds here and for minutes in tests/soak."""

import pytest

from tests.orchestrator.inbox.crash.effects import prepare_sqlite
from tests.orchestrator.inbox.crash.laws import violations
from tests.orchestrator.inbox.crash.plans import ON_A_FILE, ON_A_SERVER, told
from tests.orchestrator.inbox.crash.storm import Storm, postgres_query, sqlite_query

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def test_every_intent_ends_exactly_once_whatever_dies_around_a_server(server, tmp_path):
    """Processes and the server are killed, stopped, frozen and cut off; then it is calm, and everything is in order."""
    storm = Storm(
        server.url(),
        tmp_path,
        postgres_query(server.url()),
        seed=1,
        plan=ON_A_SERVER,
        lease=1.2,
        gap=0.4,
        server=server,
    )
    try:
        storm.rage(8)
        storm.calm(60)
    finally:
        storm.close()

    print(told(storm))
    assert violations(storm.trail(), storm.submitted(), storm.cancelled()) == []
    assert storm.crashes() == []
    assert len(storm.submitted()) > 50


def test_every_intent_ends_exactly_once_whatever_dies_around_a_file(tmp_path):
    """The same with processes that share one file."""
    prepare_sqlite(tmp_path / "state.db")
    with sqlite_query(tmp_path / "state.db") as query:
        storm = Storm(
            f"sqlite://{tmp_path}/state.db", tmp_path, query, seed=2, plan=ON_A_FILE, workers=2, lease=1.2, gap=0.6
        )
        try:
            storm.rage(6)
            storm.calm(60)
        finally:
            storm.close()

        print(told(storm))
        assert violations(storm.trail(), storm.submitted(), storm.cancelled()) == []
        assert storm.crashes() == []
        assert len(storm.submitted()) > 50
