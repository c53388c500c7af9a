"""Phase 1: passed, failed or cancelled; workers start after passed alone."""

import anyio
import pytest

from longrun.events import AttemptStarted
from orchestrator.contracts import (
    GlobalPreflightSpec,
    GlobalWorkerSpec,
    PermanentFailure,
    PreflightSpec,
    ServicePressure,
    WorkerSpec,
)

pytestmark = pytest.mark.anyio


async def hang(_tenant: object) -> None:
    await anyio.sleep_forever()


async def test_workers_start_when_every_preflight_has_passed(lab):
    """The slowest preflight of all is waited for."""
    check, work = lab.Work(lambda tenant: anyio.sleep(7 if tenant == "b" else 1)), lab.Work()
    shops = lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 60, work), tenants=("a", "b"))

    outcome = await lab.run_for(30, lab.scheduler(shops, splay=False))

    assert (outcome.preflights.status, outcome.preflights.passed, outcome.exit_code) == ("passed", 2, 0)
    assert sorted(work.runs) == [("a", pytest.approx(7, abs=0.1)), ("b", pytest.approx(7, abs=0.1))]


async def test_a_stop_during_the_preflights_is_cancelled_and_no_worker_is_called(lab):
    """Cancelled is not passed: exit code 3, with the reason that was given."""
    work = lab.Work()
    shops = lab.Shops(PreflightSpec("check", hang), WorkerSpec("work", 1, work))

    outcome = await lab.run_for(5, lab.scheduler(shops))

    assert (outcome.preflights.status, outcome.preflights.reason) == ("cancelled", "the test is over")
    assert (outcome.exit_code, work.runs) == (3, [])


async def test_a_stop_before_the_start_is_cancelled(lab):
    """Nothing is tried at all."""
    check, work = lab.Work(), lab.Work()
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 1, work)))
    scheduler.stop("not today")

    outcome = await scheduler.run()

    assert (outcome.preflights.status, outcome.preflights.never_started, outcome.exit_code) == ("cancelled", 1, 3)
    assert check.runs == work.runs == []


async def test_a_stop_ends_a_wait_between_two_attempts_at_once(lab):
    """No further call, no waiting out of the backoff."""
    check = lab.Work(lab.raising(ConnectionRefusedError("refused")))

    outcome = await lab.run_for(10, lab.scheduler(lab.Shops(PreflightSpec("check", check))))

    assert (outcome.preflights.status, len(check.runs), anyio.current_time()) == ("cancelled", 3, 10)
    (pending,) = outcome.preflights.pending
    assert str(pending) == "preflight:check:a: ConnectionRefusedError: refused [after 3 attempts]"


async def test_the_first_reason_of_a_stop_stays(lab):
    """A second stop changes nothing."""
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", hang)))

    async def stop() -> None:
        await anyio.sleep(1)
        assert scheduler.stop("first") == "first"
        assert scheduler.stop("second") == "first"

    outcome = await lab.run_for(9, scheduler, stop)

    assert outcome.preflights.reason == "first"


async def test_an_enclosing_deadline_during_the_preflights_is_not_passed(lab):
    """The cancellation goes on to its owner; no worker is called."""
    work, outcomes = lab.Work(), []
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", hang), WorkerSpec("work", 1, work)))

    with anyio.move_on_after(5) as scope:
        outcomes.append(await scheduler.run())

    assert scope.cancelled_caught
    assert outcomes == work.runs == []


async def test_zero_preflights_pass(lab):
    """There is nothing that could fail."""
    work = lab.Work()

    outcome = await lab.run_for(0.5, lab.scheduler(lab.Shops(WorkerSpec("work", 1, work)), splay=False))

    assert (outcome.preflights.status, outcome.preflights.passed) == ("passed", 0)
    assert len(work.runs) == 1


async def test_a_node_failure_for_ever_fails_at_the_phase_deadline(lab):
    """A typo in a hostname ends the start instead of hanging it."""
    check, work = lab.Work(lab.raising(ConnectionRefusedError("refused"))), lab.Work()
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 1, work)))

    outcome = await scheduler.run()

    assert (outcome.exit_code, anyio.current_time(), work.runs) == (1, 300, [])
    assert outcome.preflights.status == "failed"
    assert outcome.preflights.reason == "none passed within the last 300 s"
    (pending,) = outcome.preflights.pending
    assert isinstance(pending.error, ConnectionRefusedError)


async def test_a_preflight_that_hangs_is_named_at_the_deadline(lab):
    """It had not ended: there is no error to show."""
    outcome = await lab.scheduler(lab.Shops(PreflightSpec("check", hang)), preflight_deadline=10.0).check()

    assert [str(pending) for pending in outcome.pending] == ["preflight:check:a: attempt 1 had not ended"]


async def test_the_deadline_restarts_with_each_preflight_that_passes(lab):
    """Ten tenants that pass one after the other take longer than the deadline in all."""
    check = lab.Work(lambda tenant: anyio.sleep(8 * tenant))
    shops = lab.Shops(PreflightSpec("check", check), tenants=tuple(range(1, 11)))

    outcome = await lab.scheduler(shops, preflight_deadline=10.0).check()

    assert (outcome.status, outcome.passed, outcome.reason) == ("passed", 10, None)
    assert anyio.current_time() == 80


async def test_the_deadline_runs_on_from_the_last_one_that_passed(lab):
    """Two pass, the third never does."""
    check = lab.Work(lambda tenant: anyio.sleep(tenant))
    shops = lab.Shops(PreflightSpec("check", check), tenants=(4, 8, 1000))

    outcome = await lab.scheduler(shops, preflight_deadline=10.0).check()

    assert (outcome.status, outcome.passed, len(outcome.pending)) == ("failed", 2, 1)
    assert anyio.current_time() == pytest.approx(18)


async def test_the_total_cap_ends_a_phase_that_still_moves_on(lab):
    """The cap counts from the start, whatever passes."""
    check = lab.Work(lambda tenant: anyio.sleep(8 * tenant))
    shops = lab.Shops(PreflightSpec("check", check), tenants=tuple(range(1, 11)))

    outcome = await lab.scheduler(shops, preflight_deadline=10.0, preflight_cap=30.0).check()

    assert (outcome.status, outcome.passed, anyio.current_time()) == ("failed", 3, 30)
    assert outcome.reason == "not over within the cap of 30 s"


async def test_a_phase_that_passes_at_the_instant_of_its_cap_does_not_break(lab):
    """Both happen in one turn of the event loop; either verdict is right, a crash is not."""
    shops = lab.Shops(PreflightSpec("check", lambda _tenant: anyio.sleep(30)))

    outcome = await lab.scheduler(shops, preflight_cap=30.0).check()

    assert (outcome.status, outcome.reason) in [("passed", None), ("failed", "not over within the cap of 30 s")]


async def test_a_wait_hint_that_ends_behind_the_deadline_stops_at_once_and_is_named(lab):
    """An hour of rate limit is not waited for when the phase ends in five minutes."""
    check = lab.Work(lab.raising(ServicePressure("rate limit", retry_after=3600)))

    outcome = await lab.scheduler(lab.Shops(PreflightSpec("check", check))).check()

    (failure,) = outcome.failures
    assert (outcome.status, anyio.current_time(), len(check.runs)) == ("failed", 0, 1)
    assert "asked to wait 3600 s, but the phase ends in 300 s" in str(failure)


async def test_a_wait_hint_within_the_deadline_is_waited_for(lab):
    """At least as long as was asked for."""
    answers = iter([ServicePressure("slow down", retry_after=60.0), None])

    async def answer(_tenant: object) -> None:
        error = next(answers)
        if error is not None:
            raise error

    check = lab.Work(answer)

    outcome = await lab.scheduler(lab.Shops(PreflightSpec("check", check))).check()

    first, second = check.of("a")
    assert (outcome.status, first) == ("passed", 0)
    assert 60 <= second <= 66.1


async def test_two_permanent_failures_within_the_settle_time_are_both_reported(lab):
    """The attempt that was in flight at the first failure gets its chance to tell its own."""

    async def refuse(tenant: float) -> None:
        await anyio.sleep(tenant)
        raise PermanentFailure(f"no access after {tenant:g} s")

    shops = lab.Shops(PreflightSpec("check", refuse), tenants=(1, 5))

    outcome = await lab.scheduler(shops).check()

    assert [str(failure) for failure in outcome.failures] == [
        "preflight:check:1: PermanentFailure: no access after 1 s [PermanentFailure is permanent]",
        "preflight:check:5: PermanentFailure: no access after 5 s [PermanentFailure is permanent]",
    ]
    assert anyio.current_time() == pytest.approx(5)


async def test_an_attempt_in_flight_gets_the_settle_time_and_no_more(lab):
    """Then it is cancelled and reported as not ended; one that passes within it counts as passed."""

    async def check(tenant: str) -> None:
        await anyio.sleep({"bad": 1.0, "quick": 4.0, "slow": 60.0}[tenant])
        if tenant == "bad":
            raise PermanentFailure("gone")

    shops = lab.Shops(PreflightSpec("check", check), tenants=("bad", "quick", "slow"))

    outcome = await lab.scheduler(shops, settle=5.0).check()

    assert (outcome.status, outcome.passed, anyio.current_time()) == ("failed", 1, 6)
    assert [failure.id for failure in outcome.failures] == ["preflight:check:bad"]
    assert [str(pending) for pending in outcome.pending] == ["preflight:check:slow: attempt 1 had not ended"]


async def test_no_new_attempt_starts_behind_the_first_permanent_failure(lab, events):
    """Those in backoff are still failing with their last error; those that never had a slot are a count."""

    async def behave(tenant: str) -> None:
        if tenant == "bad":
            await anyio.sleep(3)
            raise PermanentFailure("gone")
        if tenant == "flaky":
            raise ConnectionResetError("reset by peer")
        await anyio.sleep(60)

    check = lab.Work(behave)
    tenants = ("bad", "flaky", *(f"t{number}" for number in range(8)))
    shops = lab.Shops(PreflightSpec("check", check), tenants=tenants)

    outcome = await lab.scheduler(shops, listeners=[events], preflight_concurrency=3, settle=5.0).check()

    assert anyio.current_time() == 8
    assert max(at for _, at in check.runs) < 3
    assert len(check.of("flaky")) == len([e for e in events.of(AttemptStarted) if e.subject.endswith("flaky")])
    still = {pending.id: str(pending) for pending in outcome.pending}
    assert still["preflight:check:flaky"] == (
        "preflight:check:flaky: ConnectionResetError: reset by peer [after "
        + ("1 attempt]" if len(check.of("flaky")) == 1 else f"{len(check.of('flaky'))} attempts]")
    )
    assert outcome.never_started == len(tenants) - len(check.tenants)
    assert next(iter(outcome.lines())) == (
        f"preflights failed: 0 passed, 1 failed, {len(outcome.pending)} still failing, "
        f"{outcome.never_started} never started"
    )
    assert "  failed         preflight:check:bad: PermanentFailure: gone [PermanentFailure is permanent]" in list(
        outcome.lines()
    )


async def test_a_global_preflight_that_fails_stops_the_start(lab):
    """It belongs to no tenant and gates all of them."""
    work = lab.Work()
    shops = lab.Shops(
        GlobalPreflightSpec("disk", lab.Work(lab.raising(PermanentFailure("full")))), GlobalWorkerSpec("tidy", 1, work)
    )

    outcome = await lab.scheduler(shops).run()

    assert (outcome.exit_code, work.runs) == (1, [])
    assert [failure.id for failure in outcome.preflights.failures] == ["preflight:disk"]


async def test_no_more_than_the_bounded_number_run_at_once(lab):
    """Fifty preflights, seven slots, 10 s each."""
    running, most = 0, 0

    async def check(_tenant: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(10)
        running -= 1

    shops = lab.Shops(PreflightSpec("check", check), tenants=tuple(range(50)))

    outcome = await lab.scheduler(shops, preflight_concurrency=7).check()

    assert (outcome.status, most) == ("passed", 7)
    assert anyio.current_time() == pytest.approx(80, abs=0.1)


async def test_a_wait_between_attempts_holds_no_slot(lab):
    """One failing tenant does not keep the only slot from the others."""
    check = lab.Work(lab.raising(ConnectionRefusedError("refused"), "down"))
    shops = lab.Shops(PreflightSpec("check", check), tenants=("down", *(f"t{number}" for number in range(20))))

    outcome = await lab.scheduler(shops, preflight_concurrency=1).check()

    assert (outcome.status, outcome.passed) == ("failed", 20)
    assert max(at for tenant, at in check.runs if tenant != "down") < 1


@pytest.mark.slow
async def test_ten_thousand_preflights_pass_quickly(lab):
    """The framework's own time for a tenant is small; the limit is generous for a busy machine."""
    import time

    check = lab.Work()
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", check), tenants=tuple(range(10_000))))
    begun = time.perf_counter()

    outcome = await scheduler.check()

    assert (outcome.status, outcome.passed, len(check.tenants)) == ("passed", 10_000, 10_000)
    assert time.perf_counter() - begun < 20


async def test_a_stop_while_the_service_gets_ready_starts_no_worker(lab):
    """Between the phases: the preflights have passed, so the exit code is 0."""
    work = lab.Work()
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", lab.Work()), WorkerSpec("work", 1, work)))

    async def ready() -> None:
        assert scheduler.stop("enough") == "enough"
        await anyio.lowlevel.checkpoint()

    outcome = await scheduler.run(on_ready=ready)

    assert (outcome.exit_code, outcome.reason, work.runs) == (0, "enough", [])


async def test_a_stop_behind_the_end_is_harmless(lab):
    """A signal that comes while the service is closing finds nothing to stop."""
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", lab.Work()), WorkerSpec("work", 1, lab.Work())))
    outcome = await scheduler.run(once=True)

    assert scheduler.stop("late") == "late"

    assert (outcome.exit_code, outcome.reason) == (0, None)


async def test_a_stop_behind_a_check_is_harmless(lab):
    """The same after phase 1 alone."""
    scheduler = lab.scheduler(lab.Shops(PreflightSpec("check", lab.Work())))
    outcome = await scheduler.check()

    assert scheduler.stop("late") == "late"

    assert outcome.status == "passed"
