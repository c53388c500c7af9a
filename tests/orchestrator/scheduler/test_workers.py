"""Phase 2: every failure stays with its own tenant, and the service lives on while anything works."""

import anyio
import pytest

from longrun.events import DegradedEntered, DegradedRecovered, RetryScheduled
from orchestrator.contracts import (
    GlobalWorkerSpec,
    PermanentFailure,
    PreflightSpec,
    ServicePressure,
    WorkerSpec,
)

pytestmark = pytest.mark.anyio


def near(curve: list[float]) -> list[object]:
    return [pytest.approx(wait, rel=0.1001) for wait in curve]


async def test_a_permanent_failure_stops_the_units_of_its_tenant_only(lab):
    """All workers of the tenant stop, those in flight too; the other tenant does not notice."""
    cancelled = []

    async def poll(tenant: str) -> None:
        if tenant == "bad":
            await anyio.sleep(15)
            raise PermanentFailure("revoked")

    async def relay(tenant: str) -> None:
        if tenant == "bad" and anyio.current_time() > 9:
            try:
                await anyio.sleep(1000)
            except anyio.get_cancelled_exc_class():
                cancelled.append(anyio.current_time())
                raise

    polls, relays = lab.Work(poll), lab.Work(relay)
    shops = lab.Shops(WorkerSpec("poll", 10, polls), WorkerSpec("relay", 10, relays), tenants=("good", "bad"))

    outcome = await lab.run_for(44, lab.scheduler(shops, splay=False))

    assert (outcome.exit_code, outcome.died) == (0, ())
    assert cancelled[0] == pytest.approx(15, abs=0.1)
    assert len(relays.of("good")) == 5
    assert [at for at in relays.of("bad") if at < 41] == [0, 10]


async def test_a_tenant_whose_worker_failed_rejoins_when_its_preflights_pass(lab):
    """Its preflights are tried again in the background on the curve of a degraded worker."""

    async def check(_tenant: str) -> None:
        if 5 < anyio.current_time() < 60:
            raise PermanentFailure("still revoked")

    async def poll(tenant: str) -> None:
        if tenant == "bad" and anyio.current_time() < 60:
            raise PermanentFailure("revoked")

    checks, polls = lab.Work(check), lab.Work(poll)
    shops = lab.Shops(PreflightSpec("check", checks), WorkerSpec("poll", 10, polls), tenants=("good", "bad"))

    outcome = await lab.run_for(300, lab.scheduler(shops, splay=False))

    assert outcome.exit_code == 0
    assert checks.of("bad") == [0, *near([30]), pytest.approx(90, abs=10)]
    assert polls.of("bad")[0] < 1
    assert polls.of("bad")[1] == pytest.approx(checks.of("bad")[-1], abs=0.1)
    assert len(polls.of("bad")) > 15


async def test_a_tenant_rejoins_only_behind_the_end_of_its_cancelled_runs(lab):
    """A run that takes minutes to clean up never overlaps with the next one of its unit."""
    running = set()

    async def slow_to_leave(tenant: str) -> None:
        assert tenant not in running, "two runs of one unit overlap"
        running.add(tenant)
        try:
            if tenant == "bad" and anyio.current_time() < 5:
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(100 if tenant == "bad" and anyio.current_time() < 5 else 0)
            running.discard(tenant)

    async def poll(tenant: str) -> None:
        if tenant == "bad" and anyio.current_time() < 5:
            await anyio.sleep(1)
            raise PermanentFailure("revoked")

    slow = lab.Work(slow_to_leave)
    shops = lab.Shops(WorkerSpec("slow", 10, slow), WorkerSpec("poll", 10, lab.Work(poll)), tenants=("good", "bad"))

    outcome = await lab.run_for(300, lab.scheduler(shops, splay=False))

    assert outcome.exit_code == 0
    assert slow.of("bad")[1] == pytest.approx(101, abs=0.1)


async def test_on_worker_failure_stop_ends_the_service(lab):
    """Exit code 1, and the worker is named."""

    async def poll(tenant: str) -> None:
        if tenant == "bad":
            raise PermanentFailure("revoked")

    shops = lab.Shops(WorkerSpec("poll", 10, poll), tenants=("good", "bad"))

    outcome = await lab.scheduler(shops, on_worker_failure="stop").run()

    assert (outcome.exit_code, outcome.reason) == (1, "worker:poll:bad failed")
    assert [str(died) for died in outcome.died] == [
        "worker:poll:bad: PermanentFailure: revoked [PermanentFailure is permanent]"
    ]


async def test_a_permanent_failure_of_a_global_worker_ends_the_service(lab):
    """It belongs to no tenant that could be left out; runs in flight of the others are drained."""
    drained = []

    async def poll(_tenant: str) -> None:
        await anyio.sleep(10)
        drained.append(anyio.current_time())

    async def tidy() -> None:
        await anyio.sleep(2)
        raise PermanentFailure("disk gone")

    shops = lab.Shops(WorkerSpec("poll", 60, poll), GlobalWorkerSpec("tidy", 60, tidy))

    outcome = await lab.scheduler(shops, splay=False).run()

    assert (outcome.exit_code, outcome.reason) == (1, "worker:tidy failed")
    assert drained == [pytest.approx(10, abs=0.1)]


async def test_no_unit_left_ends_the_service(lab):
    """The last tenant's worker failed: there is nothing to wait for."""
    shops = lab.Shops(WorkerSpec("poll", 10, lab.Work(lab.raising(PermanentFailure("revoked")))))

    outcome = await lab.scheduler(shops).run()

    assert (outcome.exit_code, outcome.reason) == (1, "worker:poll:a failed, and no other worker is left")


async def test_a_service_without_workers_ends_by_itself(lab, caplog):
    """Preflights only: finished, with a word about it."""
    outcome = await lab.scheduler(lab.Shops(PreflightSpec("check", lab.Work()))).run()

    assert (outcome.exit_code, outcome.reason) == (0, None)
    assert "nothing to do" in caplog.text


async def test_a_failure_of_no_known_kind_degrades_a_worker_and_leaves_it_alive(lab, events):
    """30 s, 60 s, ... up to 5 minutes, loudly; one success ends the episode."""

    async def poll(_tenant: str) -> None:
        if anyio.current_time() < 500:
            raise KeyError("surprise")

    work = lab.Work(poll)

    outcome = await lab.run_for(2000, lab.scheduler(lab.Shops(WorkerSpec("poll", 10, work)), listeners=[events]))

    assert outcome.exit_code == 0
    assert [event.wait for event in events.of(RetryScheduled)] == near([30, 60, 120, 240, 300])
    assert len(events.of(DegradedEntered)) == len(events.of(DegradedRecovered)) == 1
    assert len(work.runs) > 100


async def test_node_and_service_failures_of_workers_are_retried_for_ever(lab, events):
    """No deadline in phase 2, and hints are honoured however long they are within the cap."""
    errors = iter([ConnectionResetError("reset"), ServicePressure("busy"), ServicePressure("limit", 3000.0)])

    async def poll(_tenant: str) -> None:
        error = next(errors, None)
        if error is not None:
            raise error

    await lab.run_for(5000, lab.scheduler(lab.Shops(WorkerSpec("poll", 3600, poll)), listeners=[events]))

    node, service, hint = events.of(RetryScheduled)
    assert (node.wait, service.wait) == (pytest.approx(2, rel=0.101), pytest.approx(5, rel=0.101))
    assert 3000 <= hint.wait <= 3301


async def test_runs_of_one_unit_never_overlap(lab):
    """A run that takes longer than its interval."""
    running, most = 0, 0

    async def poll(_tenant: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(25)
        running -= 1

    work = lab.Work(poll)

    await lab.run_for(200, lab.scheduler(lab.Shops(WorkerSpec("poll", 10, work)), splay=False))

    assert (most, work.of("a")[:3]) == (1, [0, 30, 60])


async def test_no_more_than_max_running_run_at_once(lab):
    """A hundred tenants, five slots."""
    running, most = 0, 0

    async def poll(_tenant: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1)
        running -= 1

    work = lab.Work(poll)
    shops = lab.Shops(WorkerSpec("poll", 60, work), tenants=tuple(range(100)))

    await lab.run_for(59, lab.scheduler(shops, max_running=5, splay=False))

    assert (most, len(work.tenants)) == (5, 100)


async def test_once_runs_each_worker_until_it_has_succeeded_once(lab):
    """Retries count as the same run; then the service ends by itself."""
    answers = iter([ConnectionResetError("reset"), None])

    async def poll(tenant: str) -> None:
        if tenant == "flaky":
            error = next(answers)
            if error is not None:
                raise error

    work = lab.Work(poll)
    shops = lab.Shops(WorkerSpec("poll", 10, work), GlobalWorkerSpec("tidy", 10, work), tenants=("good", "flaky"))

    outcome = await lab.scheduler(shops).run(once=True)

    assert (outcome.exit_code, outcome.reason) == (0, None)
    assert (len(work.of("good")), len(work.of("flaky")), len(work.of(None))) == (1, 2, 1)


async def test_once_reports_every_worker_that_failed_for_good(lab):
    """The others are not stopped by it; the exit code is 1."""

    async def poll(tenant: str) -> None:
        if tenant != "good":
            raise PermanentFailure("revoked")
        await anyio.sleep(30)

    work = lab.Work(poll)

    outcome = await lab.scheduler(lab.Shops(WorkerSpec("poll", 10, work), tenants=("b", "good", "c"))).run(once=True)

    assert outcome.exit_code == 1
    assert sorted(died.id for died in outcome.died) == ["worker:poll:b", "worker:poll:c"]
    assert anyio.current_time() == pytest.approx(30, abs=0.1)


async def test_a_stop_drains_what_is_in_flight(lab):
    """No new run starts, the one in flight ends by itself."""
    ended = []

    async def poll(_tenant: str) -> None:
        await anyio.sleep(8)
        ended.append(anyio.current_time())

    work = lab.Work(poll)

    outcome = await lab.run_for(15, lab.scheduler(lab.Shops(WorkerSpec("poll", 10, work)), splay=False))

    assert (outcome.exit_code, outcome.reason, outcome.abandoned) == (0, "the test is over", ())
    assert (work.of("a"), ended) == ([0, 10], [8, 18])


async def test_a_run_that_ignores_its_cancellation_is_named(lab):
    """Exit code 4: drained 7 s, cancelled, given up after another second."""

    async def stubborn(_tenant: str) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(60)

    shops = lab.Shops(WorkerSpec("stubborn", 10, stubborn))

    outcome = await lab.run_for(5, lab.scheduler(shops, splay=False, shutdown_timeout=10.0))

    assert (outcome.exit_code, outcome.abandoned) == (4, ("worker:stubborn:a",))


async def test_gates_are_shared_by_key(lab):
    """One unit's wait hint parks the units of the same credential, in both phases and over all tenants."""

    async def poll(tenant: str) -> None:
        if tenant == "a" and anyio.current_time() < 15 and anyio.current_time() > 5:
            raise ServicePressure("limit", retry_after=100.0)

    polls, others = lab.Work(poll), lab.Work()
    shops = lab.Shops(
        WorkerSpec("poll", 10, polls, gate="token-1"),
        WorkerSpec("other", 10, others, gate="token-2"),
        tenants=("a", "b", "c"),
    )

    await lab.run_for(200, lab.scheduler(shops, splay=False, max_running=1))

    assert [at for at in polls.of("b") + polls.of("c") if 20 <= at < 110] == []
    assert len(others.of("b")) == 20
    assert len([at for at in polls.of("b") if at >= 110]) > 7
