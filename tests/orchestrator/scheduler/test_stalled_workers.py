"""Specs with a Stall: hung runs are noticed, asked about, ended, and harm nobody else."""

import anyio
import pytest

from longrun import Category, RunKilled
from longrun.events import (
    AttemptFailed,
    DegradedEntered,
    KillOrdered,
    RetryScheduled,
    RunExtended,
    RunStalled,
    RunStuck,
)
from orchestrator.contracts import GlobalWorkerSpec, Kill, PermanentFailure, Stall, WorkerSpec
from tests.orchestrator.scheduler.hanging import Hanging, ended, told_of

pytestmark = pytest.mark.anyio


# -- the words of a spec -----------------------------------------------------------------------------------------------


async def test_a_run_that_hangs_is_killed_when_it_is_late_and_its_worker_runs_again(lab):
    """By default at once; its reason says how late and how silent it was."""
    work, events = await told_of(lab, Stall(expected=20))

    ((by, reason),) = ended(events)
    (failure,) = events.of(AttemptFailed)
    assert (work.ended["bad"], by) == (pytest.approx(20, abs=0.1), "escalator")
    assert reason.startswith("stalled after 20.0 s of 20 s expected")
    assert isinstance(failure.error, RunKilled)
    assert len(work.of("bad")) > 3


async def test_a_stalled_run_counts_as_a_failure_of_its_upstream(lab):
    """SERVICE: it is tried again after about 5 s and the worker is not called degraded."""
    work, events = await told_of(lab, Stall(expected=20))

    assert [retry.category for retry in events.of(RetryScheduled)] == [Category.SERVICE]
    assert events.of(DegradedEntered) == []
    assert work.of("bad")[1] == pytest.approx(25, abs=0.6)


async def test_a_silent_run_is_killed_although_it_is_not_late(lab):
    """No progress for *idle* seconds."""
    work, _ = await told_of(lab, Stall(expected=100, idle=15))

    assert work.ended["bad"] == pytest.approx(15, abs=0.1)


async def test_a_run_that_makes_progress_is_not_silent_but_may_be_late(lab):
    """Its last progress is in the reason."""
    work, events = await told_of(lab, Stall(expected=45, idle=15), progress=10)

    assert work.ended["bad"] == pytest.approx(45, abs=0.1)
    assert "the last one was 'page 3'" in ended(events)[0][1]


async def test_a_stall_that_extends_once_extends_once(lab):
    """Late at 20 s, extended by 60 s from then, ended by its deadline."""
    work, events = await told_of(lab, Stall(expected=20, escalate="extend_once", extend_by=60))

    (extended,) = events.of(RunExtended)
    assert (extended.seconds, work.ended["bad"]) == (60, pytest.approx(80, abs=0.1))
    assert [by for by, _ in ended(events)] == ["deadline"]


async def test_an_extension_ends_at_the_ceiling(lab):
    """However much is asked for."""
    work, events = await told_of(lab, Stall(expected=20, escalate="extend_once", extend_by=600, ceiling=70))

    assert (events.of(RunExtended)[0].seconds, work.ended["bad"]) == (
        pytest.approx(50, abs=0.1),
        pytest.approx(70, abs=0.1),
    )


async def test_a_run_that_ends_in_time_never_hears_of_its_critic(lab, events):
    """Nobody is asked, nothing is told."""
    asked = []

    async def escalate(run) -> Kill:
        asked.append(run)
        return Kill("never")

    work = lab.Work(lambda _tenant: anyio.sleep(9))
    spec = WorkerSpec("poll", 30, work, stall=Stall(expected=10, escalate=escalate))

    await lab.run_for(100, lab.scheduler(lab.Shops(spec), splay=False, listeners=[events]))

    assert (asked, events.of(RunStalled), len(work.runs)) == ([], [], 4)


async def test_a_worker_of_no_tenant_is_watched_too(lab, events):
    """A killed run of a global worker does not end the service."""
    runs = []

    async def tidy() -> None:
        runs.append(anyio.current_time())
        if len(runs) == 1:
            await anyio.sleep_forever()

    shops = lab.Shops(GlobalWorkerSpec("tidy", 30, tidy, stall=Stall(expected=20)), tenants=())

    outcome = await lab.run_for(100, lab.scheduler(shops, listeners=[events]))

    assert (outcome.exit_code, len(runs) > 2) == (0, True)
    assert [order.subject for order in events.of(KillOrdered)] == ["worker:tidy"]


async def test_without_a_stall_a_late_run_is_seen_and_left_alone(lab, events):
    """The state says late as soon as it has outlived its interval."""
    work, seen = Hanging("bad"), []
    shops = lab.Shops(WorkerSpec("poll", 30, work), tenants=("good", "bad"))
    scheduler = lab.scheduler(shops, splay=False, listeners=[events])

    async def script() -> None:
        for _ in range(2):
            await anyio.sleep(29)
            seen.append(scheduler.controls.state_of("worker:poll:bad").late)

    await lab.run_for(3000, scheduler, script)

    assert seen == [False, True]
    assert (events.of(KillOrdered), len(work.of("bad"))) == ([], 1)


async def test_the_wait_between_two_attempts_is_nobodys_stall(lab, events):
    """Expected is of an attempt: a retry that is due in a minute is not late."""
    attempts = []

    async def poll(_tenant: str) -> None:
        attempts.append(anyio.current_time())
        if len(attempts) < 4:
            await anyio.sleep(6)
            raise ConnectionResetError("reset")

    spec = WorkerSpec("poll", 600, poll, stall=Stall(expected=10, idle=7))

    await lab.run_for(100, lab.scheduler(lab.Shops(spec), splay=False, listeners=[events]))

    assert (len(attempts), events.of(RunStalled)) == (4, [])


# -- what else may happen to a stalled run -----------------------------------------------------------------------------


async def test_a_run_that_ignores_its_kill_is_named_and_its_slot_is_given_to_others(lab, events):
    """Its worker does not run again until it has ended: runs of one unit never overlap."""
    running, most = [], []

    async def poll(tenant: str) -> None:
        running.append(tenant)
        most.append(running.count("bad"))
        try:
            if tenant == "bad" and anyio.current_time() < 1:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(300)
        finally:
            running.remove(tenant)

    work = lab.Work(poll)
    shops = lab.Shops(WorkerSpec("poll", 30, work, stall=Stall(expected=20)), tenants=("bad", "good"))
    scheduler = lab.scheduler(shops, splay=False, listeners=[events], max_running=1)
    seen = []

    async def script() -> None:
        await anyio.sleep(100)
        seen.append((scheduler.controls.state_of("worker:poll:bad").stuck, scheduler.controls.statistics().stuck))
        await anyio.sleep(300)
        seen.append((scheduler.controls.state_of("worker:poll:bad").stuck, scheduler.controls.statistics().stuck))

    outcome = await lab.run_for(500, scheduler, script)

    (stuck,) = events.of(RunStuck)
    assert (stuck.subject, stuck.seconds) == ("worker:poll:bad", pytest.approx(5, abs=0.1))
    assert "await anyio.sleep(300)" in stuck.stack
    assert seen == [(True, 1), (False, 0)]
    assert work.of("good")[0] == pytest.approx(25, abs=0.1)
    assert len(work.of("good")) > 14
    assert (max(most), len(work.of("bad")) > 3, outcome.exit_code) == (1, True, 0)


async def test_work_that_has_its_result_when_it_is_killed_keeps_it(lab, events):
    """It shielded the last step: a success, and no retry."""

    async def poll(_tenant: str) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(22)

    work = lab.Work(poll)
    spec = WorkerSpec("poll", 60, work, stall=Stall(expected=20))

    await lab.run_for(70, lab.scheduler(lab.Shops(spec), splay=False, listeners=[events]))

    assert len(events.of(KillOrdered)) == 2
    assert (events.of(RetryScheduled), work.of("a")) == ([], [0, 60])


async def test_a_stalled_run_of_a_removed_tenant_just_ends(lab, events):
    """Nobody is asked about it any more, and it is not tried again."""
    feed, work, asked = lab.Feed(), Hanging("bad"), []

    async def escalate(run) -> None:
        asked.append(run.elapsed)

    spec = WorkerSpec("poll", 30, work, stall=Stall(20, escalate=escalate, tick=5, backstop=10))
    shops = lab.Shops(spec, tenants=("good", "bad"), changes=feed)

    async def script() -> None:
        await anyio.sleep(31)
        feed.remove("bad")

    await lab.run_for(200, lab.scheduler(shops, splay=False, listeners=[events]), script)

    assert (len(asked), len(work.of("bad")), events.of(KillOrdered)) == (3, 1, [])


async def test_a_stop_does_not_wait_for_a_stalled_run_longer_than_its_critic(lab, events):
    """While the service drains the critic goes on: what it ends is not tried again."""
    work = Hanging("a")
    spec = WorkerSpec("poll", 30, work, stall=Stall(expected=20))
    scheduler = lab.scheduler(lab.Shops(spec), splay=False, listeners=[events], shutdown_timeout=600.0)

    outcome = await lab.run_for(5, scheduler)

    assert (outcome.exit_code, len(work.runs)) == (0, 1)
    assert anyio.current_time() == pytest.approx(20, abs=0.1)


async def test_a_time_limit_that_comes_first_ends_the_attempt_as_such(lab, events):
    """A node failure, without a word of the critic."""
    work = Hanging("a")
    spec = WorkerSpec("poll", 30, work, timeout=12, stall=Stall(expected=20))

    await lab.run_for(28, lab.scheduler(lab.Shops(spec), splay=False, listeners=[events]))

    assert [failure.category for failure in events.of(AttemptFailed)] == [Category.NODE]
    assert (work.ended["a"], events.of(KillOrdered)) == (pytest.approx(12, abs=0.1), [])


async def test_each_attempt_is_watched_anew_and_the_extension_is_once_per_run(lab, events):
    """The second attempt hangs too: it is not extended again."""
    ends = []

    async def poll(_tenant: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ends.append(anyio.current_time())

    stall = Stall(expected=20, escalate="extend_once", extend_by=60)
    spec = WorkerSpec("poll", 3600, poll, stall=stall)

    await lab.run_for(200, lab.scheduler(lab.Shops(spec), splay=False, listeners=[events]))

    retry = events.of(RetryScheduled)[0]
    assert ends[:2] == [pytest.approx(80, abs=0.1), pytest.approx(80 + retry.wait + 40, abs=0.2)]
    assert len(events.of(RunExtended)) == 1


async def test_what_a_killed_run_raises_in_its_cleanup_does_not_hide_the_kill(lab, events):
    """The kill is what happened; what the cleanup raised stands behind it."""

    async def poll(_tenant: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError("the cleanup failed")

    spec = WorkerSpec("poll", 60, poll, stall=Stall(expected=20))

    await lab.run_for(22, lab.scheduler(lab.Shops(spec), splay=False, listeners=[events]))

    (failure,) = events.of(AttemptFailed)
    assert isinstance(failure.error, RunKilled)
    assert isinstance(failure.error.__cause__, LookupError)


async def test_a_killed_run_that_finds_out_that_it_is_permanent_puts_its_tenant_into_quarantine(lab):
    """The permanent failure in its cleanup is not forgotten for the kill."""
    work = lab.Work()

    async def scan(tenant: str) -> None:
        if tenant == "bad":
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                raise PermanentFailure("the account is closed") from None

    shops = lab.Shops(
        WorkerSpec("poll", 10, work), WorkerSpec("scan", 60, scan, stall=Stall(20)), tenants=("good", "bad")
    )

    outcome = await lab.run_for(46, lab.scheduler(shops, splay=False))

    assert (outcome.exit_code, len(work.of("good"))) == (0, 5)
    assert work.of("bad")[-1] <= 20
