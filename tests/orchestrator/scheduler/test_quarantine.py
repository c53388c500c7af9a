"""on_preflight_failure = "quarantine": a tenant that fails is left out, and joins when its preflights pass."""

from itertools import pairwise

import anyio
import pytest

from orchestrator.contracts import (
    GlobalPreflightSpec,
    GlobalWorkerSpec,
    PermanentFailure,
    PreflightSpec,
    ServicePressure,
    WorkerSpec,
)

pytestmark = pytest.mark.anyio


async def test_a_tenant_that_fails_is_left_out_and_the_others_work(lab):
    """The phase passes; its report names the tenant."""
    check = lab.Work(lab.raising(PermanentFailure("gone"), "bad"))
    work = lab.Work()
    shops = lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 10, work), tenants=("good", "bad"))

    outcome = await lab.run_for(25, lab.scheduler(shops, on_preflight_failure="quarantine"))

    assert (outcome.exit_code, outcome.preflights.status) == (0, "passed")
    assert outcome.preflights.quarantined == {("shops", "bad")}
    assert [failure.id for failure in outcome.preflights.failures] == ["preflight:check:bad"]
    assert work.tenants == {"good"}


async def test_a_tenant_in_quarantine_joins_when_its_preflights_pass(lab):
    """They are tried again after 30 s, 60 s, 120 s ...; its workers start with the first that passes."""

    async def behave(tenant: str) -> None:
        if tenant == "bad" and anyio.current_time() < 100:
            raise PermanentFailure("gone")

    check, work = lab.Work(behave), lab.Work()
    shops = lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 10, work), tenants=("good", "bad"))

    await lab.run_for(400, lab.scheduler(shops, on_preflight_failure="quarantine"))

    tries = check.of("bad")
    assert tries == [0, pytest.approx(30, abs=3.1), pytest.approx(90, abs=10), pytest.approx(210, abs=22)]
    assert tries[-1] <= work.of("bad")[0] <= tries[-1] + 11
    assert len(work.of("bad")) > 10


async def test_the_wait_in_quarantine_grows_to_300_seconds(lab):
    """30, 60, 120, 240, 300, 300, each spread by a tenth."""
    check = lab.Work(lab.raising(PermanentFailure("gone"), "bad"))
    shops = lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 10, lab.Work()), tenants=("good", "bad"))

    await lab.run_for(1500, lab.scheduler(shops, on_preflight_failure="quarantine"))

    tries = check.of("bad")
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert waits[:6] == [pytest.approx(wait, rel=0.101) for wait in (30, 60, 120, 240, 300, 300)]


async def test_a_tenant_that_is_still_failing_at_the_deadline_is_left_out(lab):
    """A node failure for ever costs its own tenant, and the others the deadline."""
    check, work = lab.Work(lab.raising(ConnectionRefusedError("refused"), "down")), lab.Work()
    shops = lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 10, work), tenants=("up", "down"))
    scheduler = lab.scheduler(shops, on_preflight_failure="quarantine", preflight_deadline=20.0)

    outcome = await lab.run_for(30, scheduler)

    assert (outcome.preflights.status, outcome.preflights.quarantined) == ("passed", {("shops", "down")})
    assert min(work.of("up")) >= 20


async def test_one_failing_preflight_of_two_keeps_the_tenant_out(lab):
    """Both are run again before it joins."""

    async def behave(_tenant: str) -> None:
        if anyio.current_time() < 10:
            raise PermanentFailure("no token")

    first, second, work = lab.Work(), lab.Work(behave), lab.Work()
    shops = lab.Shops(
        PreflightSpec("first", first),
        PreflightSpec("second", second),
        WorkerSpec("work", 10, work),
        GlobalWorkerSpec("tidy", 10, lab.Work()),
    )

    outcome = await lab.run_for(60, lab.scheduler(shops, on_preflight_failure="quarantine"))

    assert outcome.preflights.quarantined == {("shops", "a")}
    assert (len(first.runs), len(second.runs)) == (2, 2)
    assert min(work.of("a")) >= 27


async def test_a_global_preflight_that_fails_still_fails_the_phase(lab):
    """There is no tenant to leave out for it; attempts in flight get the settle time."""

    async def slow(_tenant: str) -> None:
        await anyio.sleep(100)

    shops = lab.Shops(
        PreflightSpec("check", slow), GlobalPreflightSpec("disk", lab.Work(lab.raising(PermanentFailure("full"))))
    )

    outcome = await lab.scheduler(shops, on_preflight_failure="quarantine").run()

    assert (outcome.exit_code, outcome.preflights.status, anyio.current_time()) == (1, "failed", 5)


async def test_nothing_passed_is_failed(lab):
    """A service of which every tenant is in quarantine does not start."""
    check = lab.Work(lab.raising(PermanentFailure("gone")))
    shops = lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 10, lab.Work()), tenants=("a", "b"))

    outcome = await lab.scheduler(shops, on_preflight_failure="quarantine").run()

    assert (outcome.exit_code, outcome.preflights.status, len(outcome.preflights.failures)) == (1, "failed", 2)


async def test_a_service_whose_every_worker_is_left_out_fails(lab):
    """The global preflight passes, but there is nobody to work for."""
    check, work = lab.Work(lab.raising(PermanentFailure("gone"))), lab.Work()
    shops = lab.Shops(
        GlobalPreflightSpec("disk", lab.Work()), PreflightSpec("check", check), WorkerSpec("work", 10, work)
    )

    outcome = await lab.scheduler(shops, on_preflight_failure="quarantine").run()

    assert (outcome.exit_code, outcome.preflights.status, work.runs) == (1, "failed", [])
    assert outcome.preflights.reason == "every tenant with a worker is left out"


async def test_a_wait_hint_behind_the_deadline_leaves_only_its_tenant_out(lab):
    """The others pass as if nothing was."""
    check = lab.Work(lab.raising(ServicePressure("limit", retry_after=3600), "limited"))
    shops = lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 10, lab.Work()), tenants=("free", "limited"))

    outcome = await lab.run_for(5, lab.scheduler(shops, on_preflight_failure="quarantine"))

    assert (outcome.preflights.status, outcome.preflights.quarantined) == ("passed", {("shops", "limited")})


async def test_a_stop_during_quarantine_preflights_of_the_phase_is_cancelled(lab):
    """Tenants that had passed do not make it a success."""
    check = lab.Work(lambda tenant: anyio.sleep(0 if tenant == "a" else 100))
    shops = lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 10, lab.Work()), tenants=("a", "b"))

    outcome = await lab.run_for(5, lab.scheduler(shops, on_preflight_failure="quarantine"))

    assert (outcome.exit_code, outcome.preflights.status) == (3, "cancelled")


async def test_a_background_preflight_that_passes_while_the_service_drains_starts_nothing(lab):
    """The stop came first: the drain of the others goes on in peace and the exit code is 0."""

    async def behave(tenant: str) -> None:
        if tenant == "bad":
            if anyio.current_time() < 10:
                raise PermanentFailure("gone")
            await anyio.sleep(10)

    work = lab.Work(lambda _tenant: anyio.sleep(45))
    shops = lab.Shops(PreflightSpec("check", behave), WorkerSpec("work", 60, work), tenants=("good", "bad"))
    scheduler = lab.scheduler(shops, on_preflight_failure="quarantine", splay=False, shutdown_timeout=100.0)

    outcome = await lab.run_for(35, scheduler)

    assert (outcome.exit_code, work.tenants) == (0, {"good"})
    assert anyio.current_time() == pytest.approx(45, abs=1)


async def test_a_background_preflight_that_ignores_its_cancellation_does_not_end_the_service(lab, events):
    """It is stuck in its own tenant's gate; what would read as a stuck shutdown is not told while the service runs."""
    from longrun.events import ShutdownStuck, StopRequested

    async def stubborn(tenant: str) -> None:
        if tenant == "bad" and anyio.current_time() > 10:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(200)

    async def refuse(tenant: str) -> None:
        if tenant == "bad":
            await anyio.sleep(1)
            raise PermanentFailure("gone")

    work, told = lab.Work(lambda _tenant: anyio.sleep(7)), []
    shops = lab.Shops(
        PreflightSpec("stubborn", stubborn),
        PreflightSpec("refuse", refuse),
        WorkerSpec("work", 10, work),
        tenants=("good", "bad"),
    )

    def tell_stuck(event) -> None:
        if isinstance(event, ShutdownStuck):
            told.append(anyio.current_time())

    listeners = [events, tell_stuck]
    scheduler = lab.scheduler(shops, on_preflight_failure="quarantine", splay=False, listeners=listeners)

    async def look() -> None:
        await anyio.sleep(100)
        assert events.of(ShutdownStuck) == events.of(StopRequested) == []

    outcome = await lab.run_for(121, scheduler, look)

    (stuck,) = events.of(ShutdownStuck)
    assert stuck.tasks == ("preflight:stubborn:bad",)
    assert told[0] >= work.of("good")[-1] + 7, "runs in flight are drained first"
    assert len(work.of("good")) > 10
    assert outcome.preflights.status == "passed"
