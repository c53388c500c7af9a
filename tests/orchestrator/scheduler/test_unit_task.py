"""From a unit to a task: its place on the grid, its log context, its run."""

import logging

import anyio
import pytest

from orchestrator.contracts import GlobalWorkerSpec, PreflightSpec, WorkerSpec
from orchestrator.logs import current
from orchestrator.planner import Planner
from orchestrator.scheduler.unit_task import SPLAY_CAP, Gates, Tasks


def units(*modules):
    return Planner({f"shops{number or ''}": module for number, module in enumerate(modules)}).plan().workers


def tasks(lab, interval, count, splay=True):
    shops = lab.Shops(WorkerSpec("poll", interval, lab.Work()), tenants=tuple(range(count)))
    made = Tasks(Gates(), splay=splay)
    return [made.task(unit).place() for unit in units(shops)]


def test_the_splay_is_the_same_on_every_start(lab):
    """A tenant's unit keeps its place on the grid over restarts and replicas."""
    first = tasks(lab, 60, 50)

    second = tasks(lab, 60, 50)

    assert first == second


def test_the_place_on_the_grid_does_not_change_with_the_process(lab):
    """A fixed figure: a salted hash would give another one in every process."""
    ((delay, phase),) = tasks(lab, 60, 1)

    assert (round(delay, 3), round(phase, 3)) == (7.925, 47.552)


@pytest.mark.parametrize("interval", [1.0, 60.0, 86400.0])
def test_first_runs_come_soon_and_the_grid_lies_over_the_whole_interval(lab, interval):
    """A worker that is due once a day runs within the first seconds, and then has its own time of the day."""
    found = tasks(lab, interval, 1000)

    delays, phases = [delay for delay, _ in found], [phase for _, phase in found]
    assert 0 <= min(delays) <= max(delays) < min(SPLAY_CAP, interval)
    assert 0 <= min(phases) <= max(phases) < interval
    tenths = [0] * 10
    for phase in phases:
        tenths[int(phase / interval * 10)] += 1
    assert min(tenths) > 60
    assert max(tenths) < 140


def test_splay_can_be_switched_off_and_given_in_seconds(lab):
    """False: all at once; a number: spread over so long, but never over more than the interval."""
    assert set(tasks(lab, 60, 100, splay=False)) == {(0, 0)}
    assert 25 < max(delay for delay, _ in tasks(lab, 60, 100, splay=30.0)) < 30
    assert 4 < max(delay for delay, _ in tasks(lab, 5, 100, splay=30.0)) < 5


def test_a_global_worker_has_no_splay(lab):
    """There is only one of it."""
    (unit,) = units(lab.Shops(GlobalWorkerSpec("tidy", 60, lab.Work())))

    assert Tasks(Gates()).task(unit).place() == (0, 0)


def test_a_gate_belongs_to_a_key(lab):
    """The same key, the same gate, over specs and modules; no key, no gate."""
    gates = Gates()
    specs = [WorkerSpec(name, 1, lab.Work(), gate=key) for name, key in (("x", "k1"), ("y", "k1"), ("z", "k2"))]
    shops = lab.Shops(*specs, WorkerSpec("free", 1, lab.Work()))
    found = {unit.id.resource: gates.of(unit.spec.gate) for unit in units(shops)}

    assert found["x"] is found["y"] is not found["z"]
    assert found["free"] is None


@pytest.mark.anyio
async def test_what_is_logged_in_work_says_where_it_belongs(lab):
    """Phase, resource, tenant and run id are bound inside, and gone outside."""
    seen = []

    async def poll(_tenant: object) -> None:
        seen.append(dict(current()))

    shops = lab.Shops(PreflightSpec("check", poll), WorkerSpec("poll", 10, poll), GlobalWorkerSpec("tidy", 10, once))
    await lab.run_for(5, lab.scheduler(shops, splay=False))

    check, work = seen
    assert {name: check[name] for name in ("phase", "resource", "tenant")} == {
        "phase": "preflight",
        "resource": "check",
        "tenant": "a",
    }
    assert {name: work[name] for name in ("phase", "resource", "tenant")} == {
        "phase": "worker",
        "resource": "poll",
        "tenant": "a",
    }
    assert check["run_id"] != work["run_id"]
    assert not current()


async def once() -> None:
    """Global work without a tenant."""
    assert "tenant" not in current()


@pytest.mark.anyio
async def test_work_that_asks_for_its_run_gets_one_with_a_logger(lab, caplog):
    """The logger carries the unit's place and the run's id, together with the fields of each line."""
    runs = []

    async def poll(_tenant: object, run) -> None:
        runs.append((run.id, run.attempt, run.deadline - anyio.current_time()))
        run.progress("half of it")
        run.logger.info("page.read", extra={"page": 3})

    caplog.set_level(logging.INFO)
    shops = lab.Shops(WorkerSpec("poll", 10, poll, timeout=4))
    await lab.run_for(5, lab.scheduler(shops, splay=False))

    ((run_id, attempt, left),) = runs
    (line,) = [record for record in caplog.records if record.message == "page.read"]
    assert (attempt, left) == (1, pytest.approx(4))
    assert (line.phase, line.resource, line.tenant, line.run_id) == ("worker", "poll", "a", run_id)
    assert line.page == 3


@pytest.mark.anyio
async def test_a_run_keeps_its_id_over_its_attempts(lab):
    """Attempts are counted from 1."""
    seen = []

    async def poll(_tenant: object, run) -> None:
        if len(seen) == 3:
            return
        seen.append((run.id, run.attempt))
        if len(seen) < 3:
            raise ConnectionResetError("reset")

    await lab.run_for(9, lab.scheduler(lab.Shops(WorkerSpec("poll", 10, poll)), splay=False))

    assert [attempt for _, attempt in seen] == [1, 2, 3]
    assert len({run_id for run_id, _ in seen}) == 1
