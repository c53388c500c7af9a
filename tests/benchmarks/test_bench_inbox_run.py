"""Every scenario of the inbox's benchmark for a moment, on a real PostgreSQL and a SQLite file, in real processes."""

from dataclasses import replace
from importlib.util import find_spec

import pytest

from benchmarks.inbox.report import COLUMNS
from benchmarks.inbox.rows import ROWS, Row, find
from benchmarks.inbox.run import Plan, take
from benchmarks.inbox.server import Server
from benchmarks.samples import Samples

#: As little of everything as still goes through all of it.
MOMENT = Plan(drain=300, pickups=3, seconds=0.1, idle=0.2, warm=0.2, shrink=1)

OURS = [
    find(scenario, name, backend)
    for scenario, backend, names in (
        ("drain", "postgres", ("longrun", "longrun, trio", "floor: raw SQL", "floor: our store")),
        ("drain", "sqlite", ("longrun", "floor: sqlite3")),
        ("replicas", "postgres", ("longrun",)),
        ("submit", "postgres", ("longrun", "floor: raw, coalesced")),
        ("submit", "sqlite", ("floor: sqlite3",)),
        ("pickup", "postgres", ("longrun", "floor: raw NOTIFY")),
        ("pickup", "sqlite", ("longrun, one process",)),
        ("idle", "postgres", ("longrun",)),
        ("tenants", "postgres", ("longrun, 10 types",)),
    )
    for name in names
]


def measured(row: Row, url: str) -> Samples:
    """The figures of *row*, measured once on the server of *url*."""
    samples = Samples()
    take(row, Server(url), MOMENT, samples)
    return samples


@pytest.mark.slow
@pytest.mark.parametrize("row", OURS, ids=lambda row: f"{row.scenario}-{row.backend}-{row.name}")
def test_a_row_comes_to_the_figures_of_its_table(row: Row, postgres_url: str) -> None:
    """Nothing is left undone and nothing is done twice."""
    samples = measured(replace(row, share=1.0, workers=min(row.workers, 2)), postgres_url)

    assert samples.notes == {}
    got = {metric for _, _, metric, _ in samples.taken}
    assert got
    assert got <= set(COLUMNS[row.scenario])
    assert samples.median((row.scenario, row.name, "repeats", row.backend)) in (None, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["pending=2000 ended=500 future=500 batch=25", "pending=1500 snapshot=1 whole=1"])
def test_a_turn_is_timed_with_tables_of_any_size(condition: str, postgres_url: str) -> None:
    """Runs that have ended, runs of the future, a snapshot of another session."""
    row = next(row for row in ROWS if row.scenario == "growth")

    samples = measured(replace(row, condition=condition), postgres_url)

    assert samples.notes == {}
    assert (samples.median(("growth", row.name, "turn_ms", "postgres")) or 0) > 0


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_worker_that_fails_at_its_work_is_said_and_not_waited_for(postgres_url: str) -> None:
    """It cannot do its part any more, and the others do not know of it."""
    row = replace(find("replicas", "floor: raw SQL"), workers=2, options=(("batch", -1),))

    samples = measured(row, postgres_url)

    (note,) = samples.notes.values()
    assert note.startswith("a worker ended with 1: ")
    assert note.endswith("LIMIT must not be negative")


@pytest.mark.slow
def test_a_system_that_is_not_there_is_said_and_not_a_crash(postgres_url: str) -> None:
    """As a peer that is not installed: oban wants a newer Python than the oldest we run on."""
    row = next(row for row in ROWS if row.name == "oban")
    if find_spec("oban"):
        pytest.skip("oban is here")

    samples = measured(row, postgres_url)

    assert list(samples.notes.values()) == ["oban is not installed; it needs Python 3.12"]
