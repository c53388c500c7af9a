"""A worker that is away for longer than its lease: stopped, or with its event loop blocked."""

import signal
import time
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from orchestrator.inbox import Handlers, Inbox, Intent, Poller, State
from orchestrator.inbox.worker import agenda
from tests.orchestrator.inbox.crash.effects import prepare_postgres
from tests.orchestrator.inbox.crash.laws import Trail, violations
from tests.orchestrator.inbox.crash.storm import Child, postgres_query, wait_for

pytestmark = pytest.mark.slow

LEASE = 1.0


def overtaken(place, folder, how, **environment):
    """Two workers, one after the other, hold one run; the first comes back while the second is at work.

    What the first one logged, the run's trail, and the backends of both.
    """
    url, query = place
    first = Child(folder, "worker", "first", url, "first", LEASE, "asyncio", **environment)
    children = [first]
    try:
        wait_for(lambda: first.ready, 20, "the first worker")
        anyio.run(submit, url, "storm.gate", str(folder))
        wait_for((folder / "began-1").exists, 20, "the first execution")
        if how == "stopped":
            first.signal(signal.SIGSTOP)
        second = Child(folder, "worker", "second", url, "second", LEASE, "trio", **environment)
        children.append(second)
        wait_for((folder / "began-2").exists, 40, "the second execution")
        (folder / "open-1").touch()
        first.signal(signal.SIGCONT)
        wait_for(lambda: b"intent." in first.log.read_bytes() or ended(query), 20, "word of the first worker")
        (folder / "open-2").touch()
        wait_for(lambda: ended(query), 20, "the end")
        codes = [child.end() for child in children]
    except TimeoutError as error:
        logs = [child.log.read_text() for child in children]
        raise AssertionError(f"{error}: {query('SELECT * FROM workflow_run')}, {logs}") from error
    finally:
        for child in children:
            child.kill()
    assert codes == [0, 0]
    return first.log.read_text(), Trail(query)


def ended(query):
    """Whether the run has ended."""
    return query("SELECT count(*) FROM workflow_run WHERE status IN ('pending', 'leased')")[0][0] == 0


async def submit(url, kind, *payloads):
    """One intent for each of *payloads*."""
    async with Inbox.open(url, migrate=False) as inbox:
        await inbox.submit_many([Intent(kind, payload) for payload in payloads])


@pytest.mark.parametrize("how", ["stopped", "blocked"])
def test_a_worker_that_comes_back_after_its_lease_changes_nothing(place, tmp_path, how):
    """Another has taken over; the late outcome is refused and told, and that of the other one counts."""
    log, trail = overtaken(place, tmp_path, how)

    (run,) = trail.runs.values()
    assert violations(trail) == []
    assert "intent.outcome_refused: run " + run.id in log
    assert (run.status, run.result["worker"], run.result["fence"], run.attempt) == ("succeeded", "second", 2, 1)
    assert {(effect.worker, effect.fence) for effect in run.effects} == {("first", 1), ("second", 2)}


def test_without_the_fence_the_laws_are_broken(place, tmp_path):
    """They can fail: a store that does not ask for the fence lets the late worker overwrite."""
    log, trail = overtaken(place, tmp_path, "stopped", STORM_MUTANT="fence")

    (said,) = [said for said in violations(trail) if "was written under" in said]
    (run,) = trail.runs.values()
    assert (run.result["worker"], run.result["fence"]) == ("first", 1)
    assert said.endswith("was written under second/2")
    assert "outcome_refused" not in log


def test_a_worker_that_is_frozen_while_it_claims_of_a_total_holds_up_its_type_for_seconds_and_nothing_else(
    postgres_url, tmp_path
):
    """The server ends its transaction; what it finds out when it goes on again is a lost connection like any other."""
    prepare_postgres(postgres_url)
    query, frozen = postgres_query(postgres_url), tmp_path / "frozen"
    first = Child(tmp_path, "worker", "first", postgres_url, "first", 20.0, "asyncio", STORM_FREEZE=str(frozen))
    children = [first]
    try:
        anyio.run(submit, postgres_url, "storm.total", *range(5))
        wait_for(frozen.exists, 20, "the claim of the first worker")
        second = Child(tmp_path, "worker", "second", postgres_url, "second", 20.0, "trio")
        children.append(second)
        anyio.run(submit, postgres_url, "storm.fast", *range(5))
        wait_for(lambda: ended(query), 20, "the second worker to do everything")
        first.signal(signal.SIGCONT)
        wait_for(lambda: b"poll_failed" in first.log.read_bytes(), 20, "word of the first worker")
        anyio.run(submit, postgres_url, "storm.total", *range(5))
        second.end()
        wait_for(lambda: ended(query), 20, "the first worker to do the rest")
        codes = [child.end() for child in children]
    finally:
        for child in children:
            child.kill()

    trail = Trail(query)
    assert violations(trail) == []
    assert codes == [0, 0]
    assert b"errors {'ConnectionLost': 1}" in first.log.read_bytes()
    assert b"errors {}" in second.log.read_bytes()
    assert {run.claims for run in trail.runs.values()} == {1}


@pytest.mark.anyio
@pytest.mark.parametrize("jump", [timedelta(hours=5), timedelta(hours=-5)])
async def test_a_wall_clock_that_jumps_loses_and_repeats_nothing(tmp_path, jump):
    """While a handler works: ahead, its lease has ended for everybody else; back, it lasts. Either way one outcome."""
    wall = datetime(2026, 3, 1, 12, tzinfo=UTC)
    done = []

    async def work(run):
        nonlocal wall
        done.append(run.payload)
        if run.payload == "jump":
            wall += jump
            await inbox.submit("clock.v1", "after")
            await run.heartbeat()
        return run.payload

    async with Inbox.open(f"sqlite://{tmp_path}/state.db", now=lambda: wall) as inbox:
        jumped = await inbox.submit("clock.v1", "jump")
        poller = Poller(inbox, Handlers().add("clock.v1", work), lease=5)
        with anyio.fail_after(20):
            await poller.poll()
            after = {run.payload: run for run in (await inbox.list()).runs}
            assert (await inbox.get(jumped)).state is State.SUCCEEDED
        assert done == ["jump", "after"]
        assert [run.state for run in after.values()] == [State.SUCCEEDED] * 2
        assert {run.fence for run in after.values()} == {1}


@pytest.mark.anyio
async def test_after_a_wall_clock_went_back_what_was_submitted_before_is_run_when_it_is_right_again(tmp_path):
    """A run of 12 o'clock is not due at 7; nothing is lost, and new ones go on."""
    wall = datetime(2026, 3, 1, 12, tzinfo=UTC)
    done = []

    async def work(run):
        done.append(run.payload)

    async with Inbox.open(f"sqlite://{tmp_path}/state.db", now=lambda: wall) as inbox:
        await inbox.submit("clock.v1", "before")
        wall -= timedelta(hours=5)
        await inbox.submit("clock.v1", "meanwhile")

        await Poller(inbox, Handlers().add("clock.v1", work)).poll()
        assert done == ["meanwhile"]
        wall += timedelta(hours=5)
        await Poller(inbox, Handlers().add("clock.v1", work)).poll()

    assert done == ["meanwhile", "before"]


@pytest.mark.anyio
async def test_a_wall_clock_that_jumps_ahead_gives_a_run_to_another_worker_and_one_outcome_counts(tmp_path):
    """The other one cannot know that the lease lasts still; the fence can."""
    wall = datetime(2026, 3, 1, 12, tzinfo=UTC)
    began, goes_on = anyio.Event(), anyio.Event()

    async def slow(run):
        began.set()
        await goes_on.wait()
        return "first"

    async def quick(run):
        return "second"

    url = f"sqlite://{tmp_path}/state.db"
    async with Inbox.open(url, now=lambda: wall) as inbox, Inbox.open(url, now=lambda: wall) as elsewhere:
        run_id = await inbox.submit("clock.v1", 1)
        # With its one slot taken it claims nothing more: it would take its own run again.
        first = Poller(inbox, Handlers().add("clock.v1", slow), worker_id="first", lease=1000, concurrency=1)
        second = Poller(elsewhere, Handlers().add("clock.v1", quick), worker_id="second", lease=1000)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tg:
                tg.start_soon(first.poll)
                await began.wait()
                wall += timedelta(hours=5)
                assert await second.poll() == 1
                goes_on.set()
        run = await inbox.get(run_id)

    assert (run.state, run.result, run.fence) == (State.SUCCEEDED, '"second"', 2)
    assert first.statistics.completed["clock.v1", "refused"] == 1


@pytest.mark.anyio
async def test_a_worker_that_takes_its_own_run_again_after_a_jump_stops_what_it_had_begun(tmp_path, monkeypatch):
    """It sweeps by the wall clock like anybody else; only the handler whose outcome counts goes on then."""
    monkeypatch.setattr(agenda, "SWEEP_INTERVAL", 0.05)
    wall = datetime(2026, 3, 1, 12, tzinfo=UTC)
    stopped = []

    async def work(run):
        nonlocal wall
        if run.attempt == 1:
            wall += timedelta(hours=5)
            try:
                await anyio.sleep_forever()
            finally:
                stopped.append(run.hold.fence)
        return run.hold.fence

    async with Inbox.open(f"sqlite://{tmp_path}/state.db", now=lambda: wall) as inbox:
        run_id = await inbox.submit("clock.v1", 1)
        poller = Poller(inbox, Handlers().add("clock.v1", work), lease=1000, poll_interval=0.05)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as tg:
                tg.start_soon(poller.run)
                while (await inbox.get(run_id)).state is not State.SUCCEEDED:
                    pass
                stopped_at_once = list(stopped)
                poller.stop()
        run = await inbox.get(run_id)

    assert (run.result, run.fence, run.attempt, stopped_at_once) == ("2", 2, 1, [1])


@pytest.mark.anyio
async def test_an_outcome_counts_that_comes_after_its_lease_when_nobody_has_taken_over(tmp_path, monkeypatch):
    """The event loop was blocked for longer; the worker's own sweep comes after its outcomes."""
    monkeypatch.setattr(agenda, "SWEEP_INTERVAL", 0.05)
    calls = []

    async def work(run):
        calls.append(run.hold.fence)
        time.sleep(0.5)  # noqa: ASYNC251 - as a handler that computes

    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        run_id = await inbox.submit("block.v1", 1)
        with anyio.fail_after(20):
            await Poller(inbox, Handlers().add("block.v1", work), lease=0.3).poll()
        run = await inbox.get(run_id)

    assert (run.state, run.fence, run.attempt, calls) == (State.SUCCEEDED, 1, 0, [1])


@pytest.mark.anyio
async def test_a_handler_that_gives_up_because_it_was_told_so_has_not_succeeded(tmp_path):
    """No renewal came through, so its worker gave the lease up; nobody else took the run, and it is done again."""
    told = []

    async def work(run):
        if not told:
            await inbox.database.transaction(lambda connection: time.sleep(1.2))  # nothing else gets through
        told.append(await run.is_cancelled())
        return None if told[-1] else "done"

    async with Inbox.open(f"sqlite://{tmp_path}/state.db") as inbox:
        run_id = await inbox.submit("told.v1", 1)
        with anyio.fail_after(20):
            await Poller(inbox, Handlers().add("told.v1", work), lease=1.0).poll()
        run = await inbox.get(run_id)

    assert (run.state, run.result, run.fence, run.attempt, told) == (State.SUCCEEDED, '"done"', 2, 0, [True, False])
