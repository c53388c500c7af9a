"""What an operator may ask of single workers: pause, resume, run now, kill."""

import anyio
import pytest

from longrun import Category, RunKilled
from longrun.events import AttemptFailed, KillOrdered, RunStuck, TicksSkipped
from orchestrator.contracts import (
    PermanentFailure,
    PreflightSpec,
    ServicePressure,
    WorkerSpec,
)
from orchestrator.scheduler.controls import ControlError

pytestmark = pytest.mark.anyio


def near(*instants: float) -> list:
    """These instants, within the grain of the calendar."""
    return [pytest.approx(at, abs=0.1) for at in instants]


async def test_there_are_no_controls_before_the_workers_have_started(lab):
    """Neither before the service runs nor while its preflights do; afterwards there are."""
    check = lab.Work(lambda _tenant: anyio.sleep(20))
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", check), WorkerSpec("poll", 10, lab.Work())))
    with pytest.raises(ControlError, match="not started yet"):
        _ = scheduler.controls

    async def script() -> None:
        await anyio.sleep(10)
        with pytest.raises(ControlError, match="preflights have not passed"):
            _ = scheduler.controls
        await anyio.sleep(11)
        assert scheduler.controls.pause("worker:*") == 1

    await lab.run_for(25, scheduler, script)


async def test_a_service_whose_preflights_failed_never_has_controls(lab):
    """There are no workers to speak of."""
    check = lab.Work(lab.raising(PermanentFailure("gone")))
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", check), WorkerSpec("poll", 10, lab.Work())))

    await scheduler.run()

    with pytest.raises(ControlError):
        _ = scheduler.controls


# -- pause and resume --------------------------------------------------------------------------------------------------


async def test_a_paused_worker_starts_no_run_and_goes_on_with_its_grid(lab, events):
    """The others do not notice; points of the grid that passed meanwhile are counted."""
    work = lab.Work()
    shops = lab.Shops(WorkerSpec("poll", 10, work), tenants=("a", "b"))
    scheduler = lab.scheduler(shops, splay=False, listeners=[events])

    async def script() -> None:
        await anyio.sleep(15)
        assert scheduler.controls.pause("worker:poll:a") == 1
        await anyio.sleep(40)
        assert scheduler.controls.resume("worker:poll:a") == 1

    await lab.run_for(75, scheduler, script)

    assert work.of("a") == near(0, 10, 60, 70)
    assert len(work.of("b")) == 8
    assert [(skip.subject, skip.count) for skip in events.of(TicksSkipped)] == [("worker:poll:a", 4)]


async def test_a_run_in_flight_ends_by_itself_when_its_worker_is_paused(lab):
    """It is not cut off; the state says running, and that it is paused, until then."""
    ended, seen = [], []

    async def behave(_tenant: str) -> None:
        await anyio.sleep(8)
        ended.append(anyio.current_time())

    work = lab.Work(behave)
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 10, work)), splay=False)

    async def script() -> None:
        await anyio.sleep(4)
        scheduler.controls.pause("worker:poll:a", "maintenance")
        for _ in range(2):
            state = scheduler.controls.state_of("worker:poll:a")
            seen.append((state.phase, state.paused, state.next_due))
            await anyio.sleep(5)

    await lab.run_for(60, scheduler, script)

    assert (work.of("a"), ended) == (near(0), near(8))
    assert seen == [("running", "maintenance", None), ("paused", "maintenance", None)]


async def test_who_is_paused_already_keeps_the_first_reason(lab):
    """And is not counted; nor is one that is resumed without being paused."""
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 10, lab.Work()), tenants=("a", "b")), splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        controls = scheduler.controls
        assert controls.pause("worker:poll:a", "the first") == 1
        assert controls.pause("worker:*", "the second") == 1
        assert controls.state_of("worker:poll:a").paused == "the first"
        assert controls.state_of("worker:poll:b").paused == "the second"
        assert controls.resume("worker:poll:a") == 1
        assert controls.resume("worker:*") == 1
        assert controls.resume("worker:*") == 0

    await lab.run_for(8, scheduler, script)


async def test_a_retry_waits_for_the_end_of_the_pause(lab):
    """It is due at 5 s; paused until 60 s; then it is the same run that goes on."""
    attempts = []

    async def poll(_tenant: str, run) -> None:
        attempts.append((run.id, run.attempt, anyio.current_time()))
        if run.attempt == 1:
            raise ServicePressure("busy")

    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 1000, poll)), splay=False)

    async def script() -> None:
        await anyio.sleep(1)
        assert scheduler.controls.state_of("worker:poll:a").phase == "retrying"
        scheduler.controls.pause("worker:*")
        await anyio.sleep(59)
        scheduler.controls.resume("worker:*")

    await lab.run_for(100, scheduler, script)

    assert [(attempt, at) for _, attempt, at in attempts] == [(1, 0), (2, pytest.approx(60, abs=0.1))]
    assert len({run for run, _, _ in attempts}) == 1


async def test_a_service_of_paused_workers_stays_up_and_stops_at_once(lab):
    """Nothing runs for an hour, and nothing holds up the stop."""
    work = lab.Work()
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 10, work)), splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        scheduler.controls.pause("worker:*")

    outcome = await lab.run_for(3600, scheduler, script)

    assert (outcome.exit_code, work.of("a"), anyio.current_time()) == (0, near(0), pytest.approx(3600, abs=0.1))


# -- run now -----------------------------------------------------------------------------------------------------------


async def test_a_triggered_worker_runs_now_and_keeps_its_grid(lab):
    """One run more, between two points."""
    work = lab.Work()
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 60, work), tenants=("a", "b")), splay=False)

    async def script() -> None:
        await anyio.sleep(70)
        assert scheduler.controls.trigger("worker:poll:a") == 1

    await lab.run_for(185, scheduler, script)

    assert work.of("a") == near(0, 60, 70, 120, 180)
    assert work.of("b") == near(0, 60, 120, 180)


async def test_a_worker_that_is_triggered_while_it_runs_runs_once_more_behind(lab):
    """However often that was asked: runs never overlap, and there is one more."""
    work = lab.Work(lambda _tenant: anyio.sleep(20))
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 100, work)), splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        for _ in range(3):
            assert scheduler.controls.trigger("worker:poll:a") == 1

    await lab.run_for(130, scheduler, script)

    assert work.of("a") == near(0, 20, 100)


async def test_a_paused_worker_that_is_triggered_runs_once_and_stays_paused(lab):
    """To look at one run while everything else rests."""
    work = lab.Work()
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 10, work)), splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        scheduler.controls.pause("worker:*", "maintenance")
        await anyio.sleep(20)
        scheduler.controls.trigger("worker:*")
        await anyio.sleep(1)
        assert scheduler.controls.state_of("worker:poll:a").paused == "maintenance"

    await lab.run_for(100, scheduler, script)

    assert work.of("a") == near(0, 25)


async def test_a_trigger_cuts_the_wait_for_a_retry_short(lab):
    """The other side asked for an hour; an operator knows better."""

    async def behave(_tenant: str) -> None:
        if anyio.current_time() < 5:
            raise ServicePressure("limit", retry_after=3600.0)

    work = lab.Work(behave)
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 100, work)), splay=False)

    async def script() -> None:
        await anyio.sleep(10)
        scheduler.controls.trigger("worker:poll:a")

    await lab.run_for(150, scheduler, script)

    assert work.of("a") == near(0, 10, 100)


async def test_a_trigger_of_many_passes_over_who_is_on_the_way_out(lab):
    """A removed tenant whose run cleans up cannot be run; the others are, wherever they stand in the list."""
    feed = lab.Feed()

    async def behave(tenant: str) -> None:
        if tenant == "leaving":
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(30)

    work = lab.Work(behave)
    shops = lab.Shops(WorkerSpec("poll", 100, work), tenants=("a", "leaving", "z"), changes=feed)
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        feed.remove("leaving")
        await anyio.sleep(5)
        assert scheduler.controls.trigger("worker:*") == 2
        with pytest.raises(ControlError, match="cannot be run now"):
            scheduler.controls.trigger("worker:poll:leaving")

    await lab.run_for(60, scheduler, script)

    assert (work.of("a"), work.of("z"), work.of("leaving")) == (near(0, 10), near(0, 10), near(0))


# -- kill --------------------------------------------------------------------------------------------------------------


async def test_a_killed_run_ends_and_its_worker_runs_again(lab, events):
    """It fails with the reason that was given, and is tried again. The others go on."""
    work = lab.Work(lambda tenant: anyio.sleep(1000 if tenant == "a" and anyio.current_time() < 1 else 1))
    shops = lab.Shops(WorkerSpec("poll", 60, work), tenants=("a", "b"))
    scheduler = lab.scheduler(shops, splay=False, listeners=[events])

    async def script() -> None:
        await anyio.sleep(20)
        assert scheduler.controls.kill("worker:*", "it hangs") == 1

    outcome = await lab.run_for(90, scheduler, script)

    (order,), (failure,) = events.of(KillOrdered), events.of(AttemptFailed)
    assert (order.subject, order.reason, order.by) == ("worker:poll:a", "it hangs", "operator")
    assert isinstance(failure.error, RunKilled)
    assert "it hangs" in str(failure.error)
    assert len(work.of("a")) >= 2
    assert (outcome.exit_code, len(work.of("b"))) == (0, 2)


async def test_a_killed_run_counts_as_a_failure_of_its_upstream(lab, events):
    """SERVICE: tried again after about 5 s, and not as a failure of no known kind after 30 s."""
    work = lab.Work(lambda _tenant: anyio.sleep(1000 if anyio.current_time() < 1 else 1))
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 60, work)), splay=False, listeners=[events])

    async def script() -> None:
        await anyio.sleep(20)
        scheduler.controls.kill("worker:*")

    await lab.run_for(90, scheduler, script)

    assert [failure.category for failure in events.of(AttemptFailed)] == [Category.SERVICE]
    assert work.of("a") == [0, pytest.approx(25, abs=0.6), pytest.approx(60, abs=0.1)]


async def test_a_kill_counts_runs_in_flight_only_and_each_once(lab):
    """Who does not run is not harmed; a second order to the same run finds it being ended already."""

    async def behave(tenant: str) -> None:
        if tenant == "a":
            with anyio.CancelScope(shield=True):
                await anyio.sleep(4)

    work = lab.Work(behave)
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 60, work), tenants=("a", "b")), splay=False)

    async def script() -> None:
        await anyio.sleep(2)
        assert scheduler.controls.kill("worker:poll:b") == 0
        assert scheduler.controls.kill("worker:*") == 1
        assert scheduler.controls.kill("worker:*") == 0

    await lab.run_for(50, scheduler, script)

    assert len(work.of("b")) == 1


async def test_a_run_of_a_paused_worker_can_be_killed(lab):
    """It does not come back until it is resumed."""
    work = lab.Work(lambda _tenant: anyio.sleep(1000 if anyio.current_time() < 1 else 0))
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 60, work)), splay=False)

    async def script() -> None:
        await anyio.sleep(20)
        assert scheduler.controls.pause("worker:*") == 1
        assert scheduler.controls.kill("worker:*") == 1
        await anyio.sleep(80)
        assert work.of("a") == near(0)
        assert scheduler.controls.resume("worker:*") == 1

    await lab.run_for(130, scheduler, script)

    assert work.of("a") == near(0, 100, 120)


async def test_a_run_that_ignores_an_operators_kill_is_named_after_five_seconds(lab):
    """Also when nothing else is due for a long time."""
    told = []

    async def behave(_tenant: str) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(60)

    def note(event) -> None:
        if isinstance(event, RunStuck):
            told.append((event.subject, anyio.current_time()))

    spec = WorkerSpec("poll", 3600, behave)
    scheduler = lab.scheduler(lab.Shops(spec), splay=False, listeners=[note])

    async def script() -> None:
        await anyio.sleep(20)
        scheduler.controls.kill("worker:*")
        await anyio.sleep(10)
        state = scheduler.controls.state_of("worker:poll:a")
        assert (state.phase, state.stuck) == ("running", True)

    await lab.run_for(100, scheduler, script)

    assert told == [("worker:poll:a", pytest.approx(25, abs=0.1))]
