"""Minutes of a storm over the inbox: everything that can die does so, and every intent ends exactly once.

``LONGRUN_SOAK_MINUTES=5 pytest -s -m soak tests/soak/test_soak_inbox.py`` runs it; ``LONGRUN_SOAK_SEED`` decides what
happens and when.
"""

import os

import pytest

from tests.orchestrator.inbox.crash.effects import FORGETFUL, prepare_postgres, prepare_sqlite
from tests.orchestrator.inbox.crash.laws import violations
from tests.orchestrator.inbox.crash.plans import ON_A_FILE, ON_A_SERVER, told
from tests.orchestrator.inbox.crash.storm import Storm, postgres_query, sqlite_query

MINUTES = float(os.environ.get("LONGRUN_SOAK_MINUTES", "20"))
SEED = int(os.environ.get("LONGRUN_SOAK_SEED", "3"))

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(MINUTES * 60 + 300)]


def weathered(storm: Storm) -> list[str]:
    """Let it rage for the minutes that were asked for, and say what is not in order."""
    try:
        storm.rage(MINUTES * 60)
        storm.calm(120)
    finally:
        storm.close()
    print(told(storm))
    assert len(storm.submitted()) > 100 * MINUTES
    return violations(storm.trail(), storm.submitted(), storm.cancelled()) + storm.crashes()


def test_minutes_of_a_storm_around_a_server(postgres_server, tmp_path):
    """Workers, producers, connections and the server itself."""
    server = postgres_server(settings=FORGETFUL)
    prepare_postgres(server.url())
    query = postgres_query(server.url())

    storm = Storm(
        server.url(), tmp_path, query, seed=SEED, plan=ON_A_SERVER, workers=4, producers=2, gap=1.0, server=server
    )

    assert weathered(storm) == []


def test_minutes_of_a_storm_around_a_file(tmp_path):
    """Workers and producers."""
    prepare_sqlite(tmp_path / "state.db")
    with sqlite_query(tmp_path / "state.db") as query:
        storm = Storm(
            f"sqlite://{tmp_path}/state.db", tmp_path, query, seed=SEED, plan=ON_A_FILE, workers=2, rate=20, gap=1.0
        )

        assert weathered(storm) == []
