"""Orders to workers whose tenants come, go or wait in quarantine, or to a service that stops; what is seen."""

import anyio
import pytest

from orchestrator.contracts import (
    PermanentFailure,
    ServicePressure,
    WorkerSpec,
)
from orchestrator.scheduler.controls import ControlError

pytestmark = pytest.mark.anyio


def near(*instants: float) -> list:
    """These instants, within the grain of the calendar."""
    return [pytest.approx(at, abs=0.1) for at in instants]


# -- tenants that come, go and wait meanwhile --------------------------------------------------------------------------


async def test_a_tenant_in_quarantine_has_no_workers_to_order(lab):
    """Said, not passed over in silence; when it has joined again it has."""

    async def behave(tenant: str) -> None:
        if tenant == "bad" and anyio.current_time() < 5:
            raise PermanentFailure("revoked")

    work = lab.Work(behave)
    shops = lab.Shops(WorkerSpec("poll", 10, work), tenants=("good", "bad"))
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        for order in ("pause", "resume", "trigger", "kill"):
            with pytest.raises(ControlError, match="worker:poll:bad"):
                getattr(scheduler.controls, order)("worker:poll:bad")
        with pytest.raises(ControlError, match="worker:poll:bad"):
            scheduler.controls.state_of("worker:poll:bad")
        assert scheduler.controls.pause("worker:*") == 1
        assert scheduler.controls.resume("worker:*") == 1
        await anyio.sleep(35)
        assert scheduler.controls.pause("worker:poll:bad") == 1

    await lab.run_for(100, scheduler, script)

    assert max(work.of("bad")) < 41


async def test_a_tenant_that_is_removed_while_paused_is_gone(lab):
    """And when it comes back it is a new one that nobody has paused."""
    feed, work = lab.Feed(), lab.Work()
    shops = lab.Shops(WorkerSpec("poll", 10, work), tenants=("a", "b"), changes=feed)
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        scheduler.controls.pause("worker:*:b")
        feed.remove("b")
        await anyio.sleep(20)
        with pytest.raises(ControlError):
            scheduler.controls.resume("worker:*:b")
        feed.add("b")
        await anyio.sleep(1)
        assert scheduler.controls.state_of("worker:poll:b").paused is None

    await lab.run_for(50, scheduler, script)

    assert work.of("b") == near(0, 25, 35, 45)


async def test_a_tenant_that_joins_while_the_others_are_paused_runs(lab):
    """An order is for the workers that are there."""
    feed, work = lab.Feed(), lab.Work()
    shops = lab.Shops(WorkerSpec("poll", 10, work), tenants=("a",), changes=feed)
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        scheduler.controls.pause("worker:*")
        feed.add("new")

    await lab.run_for(30, scheduler, script)

    assert (work.of("a"), work.of("new")) == (near(0), near(5, 15, 25))


async def test_a_tenant_that_is_removed_while_its_run_is_killed_leaves_once(lab):
    """Whichever order comes first: one run, one end, and a rejoining tenant waits for it."""
    for first in ("kill", "remove"):
        feed, running, began = lab.Feed(), [], anyio.current_time()

        async def behave(tenant: str, running=running, began=began) -> None:
            if tenant != "b":
                return
            assert not running, "two runs of one unit overlap"
            running.append(tenant)
            try:
                if anyio.current_time() < began + 20:
                    await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(3)
                running.clear()

        work = lab.Work(behave)
        shops = lab.Shops(WorkerSpec("poll", 100, work), tenants=("a", "b"), changes=feed)
        scheduler = lab.scheduler(shops, splay=False)

        async def script(feed=feed, scheduler=scheduler, first=first) -> None:
            await anyio.sleep(20)
            if first == "kill":
                assert scheduler.controls.kill("worker:poll:b") == 1
                feed.remove("b")
            else:
                feed.remove("b")
                await anyio.sleep(1)
                assert scheduler.controls.kill("worker:poll:b") == 0
            feed.add("b")

        outcome = await lab.run_for(90, scheduler, script)

        assert outcome.exit_code == 0
        assert work.of("b") == near(began, began + 23)


async def test_a_paused_unit_of_a_tenant_that_fails_leaves_with_its_tenant(lab):
    """Quarantine stops all units of the tenant, also those that rest; a resume means it for when they are back."""

    async def scan(tenant: str) -> None:
        if tenant == "bad" and 9 < anyio.current_time() < 11:
            raise PermanentFailure("revoked")

    polls = lab.Work()
    shops = lab.Shops(WorkerSpec("poll", 10, polls), WorkerSpec("scan", 10, scan), tenants=("good", "bad"))
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        scheduler.controls.pause("worker:poll:*")
        await anyio.sleep(10)
        assert scheduler.controls.resume("worker:poll:*") == 2

    outcome = await lab.run_for(28, scheduler, script)

    assert (outcome.exit_code, polls.of("bad"), len(polls.of("good"))) == (0, near(0), 2)


# -- while the service stops -------------------------------------------------------------------------------------------


async def test_a_service_that_stops_runs_nothing_more_on_anybodys_order(lab):
    """Said with the reason of the stop; pausing and resuming mean nothing to those that have stopped."""
    work = lab.Work(lambda tenant: anyio.sleep(15 if tenant == "slow" else 0))
    shops = lab.Shops(WorkerSpec("poll", 100, work), tenants=("a", "slow"))
    scheduler = lab.scheduler(shops, splay=False, shutdown_timeout=100.0)

    async def script() -> None:
        await anyio.sleep(6)
        with pytest.raises(ControlError, match="the runner stops"):
            scheduler.controls.trigger("worker:*")
        assert scheduler.controls.pause("worker:poll:a") == 0
        assert scheduler.controls.resume("worker:*") == 0

    outcome = await lab.run_for(5, scheduler, script)

    assert (outcome.exit_code, len(work.runs), anyio.current_time()) == (0, 2, pytest.approx(15, abs=0.1))


async def test_a_run_that_holds_up_the_stop_can_be_killed(lab):
    """The drain ends with it; it is not tried again, and nobody was abandoned."""
    work = lab.Work(lambda _tenant: anyio.sleep(1000))
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 100, work)), splay=False, shutdown_timeout=600.0)

    async def script() -> None:
        await anyio.sleep(20)
        assert scheduler.controls.kill("worker:*") == 1

    outcome = await lab.run_for(5, scheduler, script)

    assert (outcome.exit_code, outcome.abandoned, len(work.runs)) == (0, (), 1)
    assert anyio.current_time() == pytest.approx(20, abs=0.1)


async def test_controls_of_a_service_that_has_ended_say_how_it_ended(lab):
    """Orders mean nothing to anybody any more; a trigger is refused."""
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 10, lab.Work()), tenants=("a", "b")), splay=False)

    await lab.run_for(25, scheduler)

    controls = scheduler.controls
    assert (controls.pause("worker:*"), controls.resume("worker:*"), controls.kill("worker:*")) == (0, 0, 0)
    with pytest.raises(ControlError):
        controls.trigger("worker:*")
    assert {state.phase for state in controls.state().values()} == {"stopped"}
    assert {state.runs for state in controls.state().values()} == {3}


# -- what is seen ------------------------------------------------------------------------------------------------------


async def test_statistics_agree_with_what_ran(lab):
    """Counts of all attempts by how they ended, and of who runs at this moment."""

    async def behave(tenant: str) -> None:
        if tenant == "slow":
            await anyio.sleep(1000)
        if tenant == "shaky" and anyio.current_time() < 1:
            raise ServicePressure("busy")

    work = lab.Work(behave)
    shops = lab.Shops(WorkerSpec("poll", 100, work, timeout=60), tenants=("good", "slow", "shaky", "killed"))
    scheduler = lab.scheduler(shops, splay=False)
    seen = []

    async def script() -> None:
        await anyio.sleep(40)
        seen.append(scheduler.controls.statistics())
        await anyio.sleep(30)
        seen.append(scheduler.controls.statistics())

    await lab.run_for(75, scheduler, script)

    early, later = seen
    assert (early.tasks, early.running, early.attempts, early.succeeded, early.failed) == (4, 1, 5, 3, 1)
    assert (later.running, later.failed, later.timed_out, later.attempts) == (1, 2, 1, 6)
    assert sum(later.lateness) == later.attempts == len(work.runs)


async def test_state_tells_of_every_worker_and_of_one(lab):
    """By id, as values that do not change any more."""
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 10, lab.Work()), tenants=("a", "b")), splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        controls = scheduler.controls
        before = controls.state()
        assert set(before) == {"worker:poll:a", "worker:poll:b"}
        assert before["worker:poll:a"] == controls.state_of("worker:poll:a")
        assert (before["worker:poll:a"].phase, before["worker:poll:a"].next_due) == ("waiting", 10)
        await anyio.sleep(10)
        assert (before["worker:poll:a"].runs, controls.state_of("worker:poll:a").runs) == (1, 2)
        with pytest.raises(ControlError, match="worker:poll:nobody"):
            controls.state_of("worker:poll:nobody")

    await lab.run_for(18, scheduler, script)


@pytest.mark.parametrize("meanwhile", ["nothing", "removed", "resumed"])
async def test_a_pause_outlives_a_quarantine_but_not_the_tenant(lab, meanwhile):
    """One of the tenant's workers fails for good while another one is paused; later the tenant is back."""

    async def behave(tenant: str) -> None:
        if tenant == "a" and 15 < anyio.current_time() < 25:
            raise PermanentFailure("revoked")

    feed, sync, seen = lab.Feed(), lab.Work(), []
    specs = WorkerSpec("sync", 10, sync), WorkerSpec("poll", 10, lab.Work(behave))
    scheduler = lab.scheduler(lab.Shops(*specs, tenants=("a", "b"), changes=feed), splay=False)

    async def script() -> None:
        await anyio.sleep(15)
        scheduler.controls.pause("worker:sync:a", "maintenance")
        await anyio.sleep(10)
        assert "worker:sync:a" not in scheduler.controls.state()
        if meanwhile == "removed":
            feed.remove("a")
            await anyio.sleep(1)
            feed.add("a")
        elif meanwhile == "resumed":
            assert scheduler.controls.resume("worker:*:a") == 1
        await anyio.sleep(400)
        seen.append(scheduler.controls.state_of("worker:sync:a").paused)

    await lab.run_for(450, scheduler, script)

    assert seen == ["maintenance" if meanwhile == "nothing" else None]
    assert (len(sync.of("a")) == 2) is (meanwhile == "nothing")
