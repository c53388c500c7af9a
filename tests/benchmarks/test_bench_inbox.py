"""The inbox's benchmark: loads, tallies, rows and bars. Nothing is measured here."""

import json
from pathlib import Path

import pytest

from benchmarks.inbox.bars import BARS
from benchmarks.inbox.load import Load
from benchmarks.inbox.report import BESIDE, COLUMNS, PANELS, figures, panels, save
from benchmarks.inbox.rows import BACKENDS, ROWS, SCENARIOS, find
from benchmarks.inbox.run import Plan, run
from benchmarks.inbox.tally import Tally
from benchmarks.samples import Samples


def test_a_load_survives_the_way_to_its_process() -> None:
    """As JSON on the command line, its options included."""
    load = Load("drain", "longrun", "postgres", "longrun:Longrun", "u", "/f", 10, options=(("tenants", 3),))

    assert Load.from_json(load.to_json()) == load


def test_a_tally_adds_up_what_the_workers_of_a_run_have_done(tmp_path: Path) -> None:
    """Each has a place of its own in one file; the last start of all is known."""
    first, third = Tally(tmp_path / "tally"), Tally(tmp_path / "tally", 2)

    first.hit()
    third.hit()
    last = third.last
    first.hit()

    assert (first.count, third.count, first.counts) == (3, 3, [2, 1])
    assert third.last > last


def test_every_row_is_one_of_its_scenario_and_database() -> None:
    """A name twice would mix the figures of two systems."""
    keys = [(row.scenario, row.name, row.backend) for row in ROWS]

    assert len(set(keys)) == len(keys)
    assert {row.scenario for row in ROWS} == set(SCENARIOS) == set(COLUMNS)
    assert {row.backend for row in ROWS} == set(BACKENDS)


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.group}-{bar.ours}-{bar.metric}-{bar.backends[0]}")
def test_every_bar_compares_rows_that_exist_on_its_database(bar) -> None:
    """And figures that the tables show, so that nobody has to believe a verdict."""
    named = [(bar.group, bar.ours), *([] if bar.other is None else [bar.other])]

    for scenario, name in named:
        assert find(scenario, name, bar.backends[0]).scenario == scenario
        assert bar.metric in COLUMNS[scenario]


def test_every_table_stands_beside_a_row_of_its_own() -> None:
    """And every panel draws a column of its table."""
    assert all(find(scenario, name, backend) for (scenario, backend), (name, _) in BESIDE.items())
    assert all(metric in COLUMNS[scenario] for (scenario, _), (_, metric) in BESIDE.items())
    assert all(metric in COLUMNS[scenario] for scenario, metric, _, _ in PANELS)


def test_a_quick_run_shrinks_what_is_large_and_leaves_what_it_is_compared_with() -> None:
    """A tenth of a million, but the thousand stays."""
    few, many = find("growth", "claim, 1 k ended"), find("growth", "claim, 1 M ended")

    conditions = [Plan.quick().load(row, "u", "f").condition for row in (few, many)]

    assert conditions == ["ended=1000 pending=20000", "ended=100000 pending=20000"]


def test_a_table_shows_each_row_beside_the_floor_of_the_same_rounds() -> None:
    """The ratio is the median of the rounds' ratios."""
    taken = {
        ("drain", "longrun", "per_s", "postgres"): [10.0, 30.0, 50.0],
        ("drain", "floor: raw SQL", "per_s", "postgres"): [20.0, 40.0, 50.0],
    }

    table = figures(ROWS, Samples(taken), "drain", "postgres")

    assert "0.75 x" in table
    assert figures(ROWS, Samples(taken), "drain", "sqlite") == ""


def test_without_a_server_its_rows_are_left_out_with_a_note() -> None:
    """Nothing is started for them."""
    samples = Samples()

    run([find("drain", "pgqueuer")], None, Plan.quick(), samples, repeats=2, seed=1, tell=lambda _: None)

    assert samples.notes == {("drain", "pgqueuer", "", "postgres"): "there is no PostgreSQL"}


def test_what_was_measured_is_plain_json(tmp_path: Path) -> None:
    """With the load of the machine and what the server was; a plot needs no more than the samples."""
    samples = Samples({("drain", "longrun", "per_s", "postgres"): [10.0, 30.0]})

    save(tmp_path / "inbox.json", samples, [], Plan(), {"load_before": (0.1, 0.2, 0.3)})

    said = json.loads((tmp_path / "inbox.json").read_text())
    assert said["rows"][0]["median"] == 20.0
    assert said["load_before"] == [0.1, 0.2, 0.3]
    assert next(iter(panels(ROWS, samples))).bars == [("longrun", 20.0)]
