"""The scheduler's benchmark: loads, lateness, rows and bars. Nothing is measured here."""

import logging
import math

import anyio.lowlevel
import pytest

from benchmarks.samples import Samples
from benchmarks.scheduler.bars import BARS
from benchmarks.scheduler.load import Load
from benchmarks.scheduler.recorder import Recorder, quantile
from benchmarks.scheduler.report import COLUMNS, PANELS, figures
from benchmarks.scheduler.rows import ROWS, SCENARIOS, Row, find
from benchmarks.scheduler.run import Plan
from benchmarks.scheduler.told import told


class Lines(logging.Handler):
    """What is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def started(*runs: tuple[float, int], room: int = 10) -> Recorder:
    """A recorder that saw *runs*: when, and of which unit."""
    instants = iter(when for when, _ in runs)
    recorder = Recorder(room, lambda: next(instants), anyio.lowlevel.checkpoint)
    for _, unit in runs:
        await recorder.run(unit)
    return recorder


def test_a_load_survives_the_way_to_its_process() -> None:
    """As JSON on the command line."""
    load = Load("idle", "longrun Runner", "trio", 10, 60.0, 1.5, lead=2.0, herd=True)

    assert Load.from_json(load.to_json()) == load


def test_a_herd_has_one_phase_and_other_loads_fill_the_interval() -> None:
    """Golden-ratio phases: no tenth of the interval stays empty."""
    spread = Load("steady", "x", "asyncio", 1000, 60.0, 1.0)
    herd = Load("herd", "x", "asyncio", 1000, 60.0, 1.0, herd=True)

    assert {int(spread.phase(unit) / 6) for unit in range(1000)} == set(range(10))
    assert {herd.phase(unit) for unit in range(1000)} == {0.0}


@pytest.mark.anyio
async def test_lateness_counts_from_the_point_of_the_grid_that_was_served() -> None:
    """Whichever point of the grid the due instant names; before the window nothing counts."""
    recorder = await started((5.0, 0), (10.25, 0), (33.5, 1))

    late = recorder.lateness([0.0, 13.0], 10.0, since=10.0)

    assert late == pytest.approx([0.25, 0.5])


@pytest.mark.anyio
async def test_a_start_a_rounding_error_early_is_not_a_whole_interval_late() -> None:
    """It is less than nothing late."""
    recorder = await started((9.999, 0))

    assert recorder.lateness([0.0], 10.0, since=0.0) == pytest.approx([-0.001])


@pytest.mark.anyio
async def test_a_unit_with_an_unknown_grid_is_passed_over() -> None:
    """It was running when it was asked for its due instant."""
    recorder = await started((1.5, 0), (1.5, 1))

    assert recorder.lateness([math.nan, 1.0], 10.0, since=0.0) == pytest.approx([0.5])


@pytest.mark.anyio
async def test_grids_are_placed_by_the_least_late_run() -> None:
    """All but the origin is known: unit 1 was on time, unit 0 a tenth of a second late, so unit 2."""
    recorder = await started((108.1, 0), (109.5, 1), (102.1, 2))

    dues = recorder.placed([8.0, 9.5, 2.0], 10.0)

    assert dues is not None
    assert recorder.lateness(dues, 10.0, since=0.0) == pytest.approx([0.0, 0.1, 0.1])


@pytest.mark.anyio
async def test_phases_that_do_not_fit_the_runs_place_nothing() -> None:
    """Better no lateness than an invented one."""
    recorder = await started((100.0, 0), (100.0, 1), (100.0, 2))

    assert recorder.placed([0.0, 3.0, 6.0], 10.0) is None


@pytest.mark.anyio
async def test_a_full_recorder_still_counts() -> None:
    """The instants of the first runs are kept; memory is taken once, beforehand."""
    recorder = await started((1.0, 0), (2.0, 0), (3.0, 0), room=2)

    assert (recorder.count, recorder.last()) == (3, 2.0)


@pytest.mark.anyio
async def test_a_run_of_which_everything_is_told_writes_its_line_though_the_child_has_switched_logs_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the other designs are compared with includes the log line."""
    pytest.importorskip("opentelemetry.sdk")
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    seen = Lines()

    async def run(_: int) -> None:
        logging.getLogger("bench").addHandler(seen)

    await told(run)(7)

    assert seen.lines == ["run done unit=7 outcome=ok"]


def test_quantiles_of_sorted_figures() -> None:
    """The largest one is the last, not one behind it."""
    ordered = [1.0, 2.0, 3.0, 4.0]

    assert [quantile(ordered, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 3.0, 4.0, 4.0]


def test_every_row_is_one_of_its_scenario() -> None:
    """A name twice in one scenario would mix the figures of two designs."""
    keys = [(row.scenario, row.name) for row in ROWS]

    assert len(set(keys)) == len(keys)
    assert {row.scenario for row in ROWS} == set(SCENARIOS) == set(COLUMNS)


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.group}-{bar.ours}-{bar.metric}-{bar.backends[0]}")
def test_every_bar_compares_rows_that_exist_on_its_backends(bar) -> None:
    """And figures that the tables show, so that nobody has to believe a verdict."""
    named = [(bar.group, bar.ours), *([] if bar.other is None else [bar.other])]

    for scenario, name in named:
        assert set(bar.backends) <= set(find(scenario, name).backends)
        assert bar.metric in COLUMNS[scenario]


def test_every_panel_draws_a_column() -> None:
    """Of the table of its scenario."""
    assert all(metric in COLUMNS[scenario] for scenario, metric, _, _ in PANELS)


def test_a_quick_plan_asks_for_as_many_runs_per_second() -> None:
    """A tenth of the units, ten times as often."""
    row = find("steady", "longrun Runner")

    assert Plan.quick().load(row, "trio").demand == pytest.approx(Plan().load(row, "trio").demand)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.scenario}-{row.name}")
def test_every_row_has_a_load(row: Row) -> None:
    """Only a herd is due at one instant; what must wait for an hour is looked at while it does."""
    load = Plan().load(row, row.backends[0])

    assert load.herd is (row.scenario == "herd")
    assert load.scenario != "herd" or load.interval == 3600
    assert load.scenario != "idle" or load.units / load.interval < 1, "runs come while nothing should be due"


def test_a_table_holds_the_medians_of_its_scenario_alone() -> None:
    """A row without figures is not in it, and a scenario without any has no table."""
    samples = Samples({("idle", "longrun Runner", "bytes", "asyncio"): [500.0, 525.0, 700.0]})

    table = figures(ROWS, samples, "idle", "asyncio")

    assert "525.0" in table
    assert "longrun Scheduler" not in table
    assert figures(ROWS, samples, "steady", "asyncio") == ""
