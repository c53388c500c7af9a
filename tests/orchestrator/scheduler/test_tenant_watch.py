"""Tenants that come and go while the service runs: Module.watch()."""

import anyio
import pytest

from longrun.events import AttemptStarted
from orchestrator.contracts import PermanentFailure, PreflightSpec, WorkerSpec

pytestmark = pytest.mark.anyio


def watched(lab, feed, check, work, *, tenants=("a",)):
    return lab.Shops(PreflightSpec("check", check), WorkerSpec("work", 10, work), tenants=tenants, changes=feed)


async def test_a_tenant_that_is_added_passes_the_preflight_gate_before_its_workers_run(lab):
    """Its preflights run at once, its workers when they have passed."""
    feed = lab.Feed()
    check, work = lab.Work(lambda tenant: anyio.sleep(7 if tenant == "new" else 0)), lab.Work()

    async def script() -> None:
        await anyio.sleep(21)
        feed.add("new")

    await lab.run_for(55, lab.scheduler(watched(lab, feed, check, work), splay=False), script)

    assert check.of("new") == [21]
    assert work.of("new")[0] == pytest.approx(28, abs=0.1)
    assert len(work.of("a")) == 6


async def test_a_tenant_that_is_added_and_fails_waits_in_quarantine(lab):
    """Retried after 30 s; nobody else is harmed, whatever on_preflight_failure says."""
    feed = lab.Feed()

    async def behave(tenant: str) -> None:
        if tenant == "new" and anyio.current_time() < 25:
            raise PermanentFailure("no access yet")

    check, work = lab.Work(behave), lab.Work()

    async def script() -> None:
        await anyio.sleep(21)
        feed.add("new")

    outcome = await lab.run_for(90, lab.scheduler(watched(lab, feed, check, work), splay=False), script)

    assert outcome.exit_code == 0
    assert check.of("new") == [21, pytest.approx(51, abs=3.1)]
    assert work.of("new")[0] == pytest.approx(check.of("new")[1], abs=0.1)


async def test_a_tenant_that_is_removed_stops(lab):
    """A run in flight is cancelled, no other starts."""
    feed, cancelled = lab.Feed(), []

    async def behave(tenant: str) -> None:
        if tenant == "b" and anyio.current_time() > 15:
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                cancelled.append(anyio.current_time())
                raise

    work = lab.Work(behave)

    async def script() -> None:
        await anyio.sleep(25)
        feed.remove("b")

    shops = watched(lab, feed, lab.Work(), work, tenants=("a", "b"))
    outcome = await lab.run_for(55, lab.scheduler(shops, splay=False), script)

    assert (outcome.exit_code, cancelled, work.of("b")) == (0, [25], [0, 10, 20])
    assert len(work.of("a")) == 6


async def test_a_tenant_that_is_removed_in_quarantine_is_not_tried_again(lab):
    """Nothing waits for it any more."""
    feed = lab.Feed()
    check = lab.Work(lab.raising(PermanentFailure("gone"), "new"))

    async def script() -> None:
        await anyio.sleep(21)
        feed.add("new")
        await anyio.sleep(10)
        feed.remove("new")

    await lab.run_for(500, lab.scheduler(watched(lab, feed, check, lab.Work())), script)

    assert check.of("new") == [21]


async def test_a_tenant_that_is_removed_while_its_preflights_run_is_let_go(lab):
    """They are cancelled, and its workers never start."""
    feed, cancelled = lab.Feed(), []

    async def behave(tenant: str) -> None:
        if tenant == "new":
            try:
                await anyio.sleep(95)
            except anyio.get_cancelled_exc_class():
                cancelled.append(anyio.current_time())
                raise

    work = lab.Work()

    async def script() -> None:
        await anyio.sleep(21)
        feed.add("new")
        await anyio.sleep(10)
        feed.remove("new")

    await lab.run_for(500, lab.scheduler(watched(lab, feed, lab.Work(behave), work)), script)

    assert (cancelled, work.tenants) == ([31], {"a"})


async def test_a_tenant_that_is_removed_and_added_again_starts_anew(lab):
    """Also when the cancelled run of its former life takes long to leave; runs do not overlap."""
    feed, running = lab.Feed(), []

    async def behave(tenant: str) -> None:
        if tenant != "b":
            return
        assert not running, "two runs of one unit overlap"
        running.append(tenant)
        try:
            if anyio.current_time() < 30:
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(50 if anyio.current_time() < 30 else 0)
            running.clear()

    work = lab.Work(behave)

    async def script() -> None:
        await anyio.sleep(25)
        feed.remove("b")
        feed.add("b")

    shops = watched(lab, feed, lab.Work(), work, tenants=("a", "b"))
    outcome = await lab.run_for(120, lab.scheduler(shops, splay=False), script)

    assert outcome.exit_code == 0
    assert work.of("b")[:2] == [0, pytest.approx(75, abs=0.1)]


async def test_preflights_of_a_tenant_never_overlap(lab):
    """Added, removed, added, removed, added: one preflight at a time, and the last addition counts."""
    feed, running, most = lab.Feed(), [], []

    async def behave(tenant: str) -> None:
        if tenant == "new":
            running.append(tenant)
            most.append(len(running))
            try:
                await anyio.sleep(10)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(5)
                running.remove(tenant)

    work = lab.Work()

    async def script() -> None:
        await anyio.sleep(21)
        for _ in range(3):
            feed.add("new")
            await anyio.sleep(1)
            feed.remove("new")
        feed.add("new")

    await lab.run_for(120, lab.scheduler(watched(lab, feed, lab.Work(behave), work), splay=False), script)

    assert max(most) == 1
    assert len(work.of("new")) > 3


async def test_a_tenant_that_is_added_twice_is_one_tenant(lab):
    """While it runs, and while its preflights do."""
    feed, check, work = lab.Feed(), lab.Work(lambda _tenant: anyio.sleep(5)), lab.Work()

    async def script() -> None:
        await anyio.sleep(21)
        feed.add("a")
        feed.add("new")
        await anyio.sleep(1)
        feed.add("new")

    await lab.run_for(55, lab.scheduler(watched(lab, feed, check, work)), script)

    assert (len(check.of("a")), len(check.of("new"))) == (1, 1)


async def test_removing_a_tenant_that_is_not_there_changes_nothing(lab):
    """Nor does removing it twice."""
    feed, work = lab.Feed(), lab.Work()

    async def script() -> None:
        await anyio.sleep(21)
        feed.remove("nobody")
        feed.remove("b")
        feed.remove("b")

    shops = watched(lab, feed, lab.Work(), work, tenants=("a", "b"))
    outcome = await lab.run_for(55, lab.scheduler(shops, splay=False), script)

    assert (outcome.exit_code, len(work.of("a")), len(work.of("b"))) == (0, 6, 3)


@pytest.mark.parametrize("news", ["the end", "an error", "no news", "a tenant that cannot name a unit"])
async def test_a_watch_that_breaks_off_leaves_the_tenants_alone(lab, caplog, news):
    """It ends, it raises, it gives something else: the workers go on, and a failure is logged."""
    feed, work = lab.Feed(), lab.Work()

    async def script() -> None:
        await anyio.sleep(21)
        match news:
            case "the end":
                feed.end()
            case "an error":
                feed.say(RuntimeError("the stream broke"))
            case "no news":
                feed.say(42)
                feed.add("new")
            case _:
                feed.add("  ")
                feed.add("new")

    outcome = await lab.run_for(55, lab.scheduler(watched(lab, feed, lab.Work(), work), splay=False), script)

    assert (outcome.exit_code, len(work.of("a"))) == (0, 6)
    assert ("new" in work.tenants) == news.startswith(("no", "a tenant"))
    assert bool(caplog.records) == (news != "the end")


async def test_a_watch_that_raises_when_it_is_called_leaves_the_tenants_alone(lab, caplog):
    """The same as one that breaks off later."""
    work = lab.Work()

    def broken():
        raise RuntimeError("no stream")

    outcome = await lab.run_for(55, lab.scheduler(watched(lab, broken, lab.Work(), work), splay=False))

    assert (outcome.exit_code, len(work.of("a"))) == (0, 6)
    assert "watch() of module 'shops' failed" in caplog.text


async def test_the_service_stays_open_with_no_tenant_when_there_is_a_watch(lab):
    """The first comes after an hour, the last goes, the next comes."""
    feed, work = lab.Feed(), lab.Work()

    async def script() -> None:
        await anyio.sleep(3600)
        feed.add("first")
        await anyio.sleep(95)
        feed.remove("first")
        await anyio.sleep(3600)
        feed.add("second")

    shops = watched(lab, feed, lab.Work(), work, tenants=())
    outcome = await lab.run_for(8000, lab.scheduler(shops, splay=False), script)

    assert (outcome.exit_code, outcome.reason) == (0, "the test is over")
    assert (len(work.of("first")), work.of("second")[0]) == (10, pytest.approx(7295, abs=0.1))


async def test_once_does_not_watch(lab):
    """It would never end."""
    work = lab.Work()
    shops = watched(lab, lab.Feed(), lab.Work(), work)

    outcome = await lab.scheduler(shops).run(once=True)

    assert (outcome.exit_code, len(work.runs)) == (0, 1)


async def test_many_tenants_that_are_added_at_once_are_tried_in_bounds(lab):
    """A hundred come in one go; their preflights share the bound of phase 1."""
    feed, work = lab.Feed(), lab.Work()
    running, most = 0, 0

    async def behave(_tenant: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(1)
        running -= 1

    async def script() -> None:
        await anyio.sleep(21)
        for number in range(100):
            feed.add(f"t{number}")

    scheduler = lab.scheduler(watched(lab, feed, lab.Work(behave), work), preflight_concurrency=10)
    await lab.run_for(55, scheduler, script)

    assert (most, len(work.tenants)) == (10, 101)


async def test_a_tenant_is_resolved_anew_when_it_comes_back(lab):
    """What storage knew of its former life is forgotten."""
    feed, asked, work = lab.Feed(), [], lab.Work()

    class Resolving(lab.Shops):
        async def resolve(self, tenant: object) -> object:
            asked.append(tenant)
            return tenant

    shops = Resolving(WorkerSpec("work", 10, work), tenants=("a", "b"), changes=feed)

    async def script() -> None:
        await anyio.sleep(25)
        feed.remove("b")
        await anyio.sleep(5)
        feed.add("b")

    await lab.run_for(55, lab.scheduler(shops), script)

    assert sorted(asked) == ["a", "b", "b"]


async def test_an_identity_that_another_module_runs_already_is_refused(lab, caplog):
    """Two modules must not run one unit; the one that runs goes on."""
    feed, first, second = lab.Feed(), lab.Work(), lab.Work()
    mine = lab.Shops(WorkerSpec("work", 10, first), tenants=("a",))
    others = lab.Shops(WorkerSpec("work", 10, second), tenants=("b",), changes=feed)

    async def script() -> None:
        await anyio.sleep(21)
        feed.add("a")

    outcome = await lab.run_for(55, lab.scheduler(mine, others, splay=False), script)

    assert (outcome.exit_code, len(first.of("a")), second.of("a")) == (0, 6, [])
    assert "tenant.refused" in caplog.text


async def test_a_stop_while_a_tenant_joins_ends_cleanly(lab, events):
    """Its preflights are cancelled at once, its workers never start, the drain is not held up."""
    feed, work = lab.Feed(), lab.Work()
    check = lab.Work(lambda tenant: anyio.sleep(1000 if tenant == "new" else 0))

    async def script() -> None:
        await anyio.sleep(21)
        feed.add("new")

    shops = watched(lab, feed, check, work)
    outcome = await lab.run_for(25, lab.scheduler(shops, listeners=[events]), script)

    assert (outcome.exit_code, anyio.current_time()) == (0, pytest.approx(25, abs=0.1))
    assert "new" not in work.tenants
    assert "preflight:check:new" in {event.subject for event in events.of(AttemptStarted)}
