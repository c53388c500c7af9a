"""How many runs go on at a time: of one spec, of one tenant, of all."""

from collections import Counter

import anyio
import pytest

from longrun.events import RunStuck
from orchestrator.contracts import GlobalWorkerSpec, PermanentFailure, ServicePressure, WorkerSpec

pytestmark = pytest.mark.anyio

TENANTS = tuple(f"t{number:02}" for number in range(20))


class Busy:
    """Work of several specs that takes *length* seconds; counts how many runs go on, by spec and by tenant."""

    def __init__(self, length: float = 1.0) -> None:
        self.length = length
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.starts: list[tuple[str, object, float]] = []

    def of(self, spec: str):
        """The work of *spec*."""

        async def work(tenant: object = None, /) -> None:
            self.starts.append((spec, tenant, anyio.current_time()))
            keys = (spec, str(tenant), "all")
            self.now.update(keys)
            for key in keys:
                self.most[key] = max(self.most[key], self.now[key])
            try:
                await anyio.sleep(self.length)
            finally:
                self.now.subtract(keys)

        return work

    def order(self, spec: str) -> list[object]:
        """In which order the tenants ran."""
        return [tenant for name, tenant, _ in self.starts if name == spec]


async def test_a_limit_of_a_spec_holds_for_all_tenants_together(lab):
    """Twenty tenants, three at a time; a spec without a limit does not wait for them."""
    busy = Busy()
    shops = lab.Shops(
        WorkerSpec("heavy", 60, busy.of("heavy"), limit=3), WorkerSpec("light", 60, busy.of("light")), tenants=TENANTS
    )

    await lab.run_for(59, lab.scheduler(shops, splay=False))

    assert (busy.most["heavy"], busy.most["light"]) == (3, 20)
    assert sorted(busy.order("heavy")) == sorted(busy.order("light")) == list(TENANTS)


async def test_who_waits_for_a_limit_is_served_first_due_first(lab):
    """Round after round nobody is passed over, although there is always somebody waiting."""
    busy = Busy(4)
    shops = lab.Shops(WorkerSpec("heavy", 60, busy.of("heavy"), limit=1), tenants=TENANTS)

    await lab.run_for(600, lab.scheduler(shops, splay=False))

    order = busy.order("heavy")
    assert len(order) > 140
    rounds = [order[at : at + 20] for at in range(0, len(order) - 19, 20)]
    assert all(sorted(each) == list(TENANTS) for each in rounds)


async def test_a_limit_of_one_spec_is_not_that_of_another(lab):
    """Two specs with one run each: two runs go on."""
    busy = Busy()
    shops = lab.Shops(
        WorkerSpec("one", 60, busy.of("one"), limit=1),
        WorkerSpec("two", 60, busy.of("two"), limit=1),
        tenants=TENANTS,
    )

    await lab.run_for(59, lab.scheduler(shops, splay=False))

    assert (busy.most["one"], busy.most["two"], busy.most["all"]) == (1, 1, 2)


async def test_a_tenant_has_no_more_runs_at_a_time_than_the_policy_says(lab):
    """Over all its specs; the other tenants have their own, and who has no tenant has no such limit."""
    busy = Busy()
    specs = [WorkerSpec(f"w{number}", 60, busy.of(f"w{number}")) for number in range(6)]
    globals_ = [GlobalWorkerSpec(f"g{number}", 60, busy.of(f"g{number}")) for number in range(4)]
    shops = lab.Shops(*specs, *globals_, tenants=("a", "b"))

    await lab.run_for(59, lab.scheduler(shops, splay=False, max_running_per_tenant=2))

    assert (busy.most["a"], busy.most["b"], busy.most["None"]) == (2, 2, 4)
    assert len(busy.starts) == 16


async def test_all_limits_hold_together(lab):
    """Of the spec, of the tenant, of the scheduler: each is kept, and nobody waits for ever."""
    busy = Busy(3)
    specs = [
        WorkerSpec(f"w{number}", 60, busy.of(f"w{number}"), limit=2 if number < 2 else None) for number in range(5)
    ]
    scheduler = lab.scheduler(
        lab.Shops(*specs, tenants=("a", "b", "c", "d")), splay=False, max_running=5, max_running_per_tenant=2
    )

    await lab.run_for(119, scheduler)

    assert busy.most["w0"] == busy.most["w1"] == 2
    assert {busy.most[tenant] for tenant in "abcd"} == {2}
    assert busy.most["all"] == 5
    assert {(spec, tenant) for spec, tenant, _ in busy.starts} == {(f"w{n}", t) for n in range(5) for t in "abcd"}


async def test_who_waits_for_a_limit_holds_no_slot(lab):
    """One spec waits in a long line; the others have all slots but one."""
    busy = Busy(50)
    quick = lab.Work()
    shops = lab.Shops(
        WorkerSpec("heavy", 600, busy.of("heavy"), limit=1), WorkerSpec("quick", 10, quick), tenants=TENANTS
    )

    await lab.run_for(95, lab.scheduler(shops, splay=False, max_running=2))

    assert len(quick.runs) == 200


async def test_a_wait_between_two_attempts_holds_no_limit(lab):
    """One tenant is asked to wait for an hour; the others have their turn."""

    async def behave(tenant: str) -> None:
        if tenant == "t00":
            raise ServicePressure("limit", retry_after=3600.0)

    work = lab.Work(behave)
    shops = lab.Shops(WorkerSpec("heavy", 60, work, limit=1), tenants=TENANTS)

    await lab.run_for(100, lab.scheduler(shops, splay=False, max_running_per_tenant=1))

    assert [len(work.of(tenant)) for tenant in TENANTS] == [1] + [2] * 19


async def test_a_failed_or_killed_run_gives_its_limit_back(lab):
    """By a time limit, an operator, an error: the next in the line runs at once."""

    async def behave(tenant: str) -> None:
        if tenant in ("t00", "t01"):
            await anyio.sleep(1000)
        if tenant == "t02":
            raise KeyError("odd")

    work = lab.Work(behave)
    shops = lab.Shops(WorkerSpec("heavy", 3600, work, timeout=30, limit=1), tenants=TENANTS)
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        await anyio.sleep(20)
        assert scheduler.controls.kill("worker:*") == 1

    await lab.run_for(51, scheduler, script)

    assert [work.of(tenant)[0] for tenant in TENANTS[:3]] == [0, pytest.approx(20, abs=0.1), pytest.approx(50, abs=0.1)]
    assert work.tenants == set(TENANTS)


async def test_a_run_that_ignores_its_cancellation_keeps_its_share_of_the_limit(lab, events):
    """Its slot is given to others, but what the limit is for, the upstream, still has the run."""
    ends = []

    async def behave(tenant: str) -> None:
        if tenant == "t00":
            with anyio.CancelScope(shield=True):
                await anyio.sleep(100)
            ends.append(anyio.current_time())

    heavy, other = lab.Work(behave), lab.Work()
    shops = lab.Shops(
        WorkerSpec("heavy", 3600, heavy, timeout=10, limit=1), WorkerSpec("other", 30, other), tenants=("t00", "t01")
    )

    await lab.run_for(120, lab.scheduler(shops, splay=False, max_running=1, listeners=[events]))

    assert len(events.of(RunStuck)) == 1
    assert other.of("t01")[0] == pytest.approx(15, abs=0.1)
    assert heavy.of("t01")[0] == pytest.approx(ends[0], abs=0.1)


@pytest.mark.parametrize("how", ["paused", "removed", "in quarantine"])
async def test_who_leaves_the_line_is_passed_over(lab, how):
    """The next one runs as soon as there is room, and who left does not come back by way of the line."""
    feed = lab.Feed()

    async def scan(tenant: str) -> None:
        if tenant == "t01" and how == "in quarantine":
            await anyio.sleep(5)
            raise PermanentFailure("revoked")

    heavy = lab.Work(lambda _tenant: anyio.sleep(10))
    shops = lab.Shops(
        WorkerSpec("heavy", 600, heavy, limit=1),
        WorkerSpec("scan", 600, scan),
        tenants=("t00", "t01", "t02"),
        changes=feed,
    )
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        if how == "paused":
            assert scheduler.controls.pause("worker:heavy:t01") == 1
        elif how == "removed":
            feed.remove("t01")

    outcome = await lab.run_for(25, scheduler, script)

    assert (outcome.exit_code, heavy.of("t01")) == (0, [])
    assert heavy.of("t02") == [pytest.approx(10, abs=0.1)]


async def test_who_comes_back_while_in_the_line_stands_in_it_once(lab):
    """Paused and resumed, or triggered, while it waits for the limit: one run comes of it."""
    busy = Busy(10)
    shops = lab.Shops(WorkerSpec("heavy", 600, busy.of("heavy"), limit=1), tenants=("t00", "t01", "t02"))
    scheduler = lab.scheduler(shops, splay=False)

    async def script() -> None:
        for _ in range(4):
            await anyio.sleep(1)
            scheduler.controls.pause("worker:heavy:t01")
            scheduler.controls.resume("worker:heavy:t01")
            scheduler.controls.trigger("worker:heavy:t02")

    await lab.run_for(100, scheduler, script)

    assert (busy.most["heavy"], sorted(busy.order("heavy"))) == (1, ["t00", "t01", "t02"])


async def test_a_tenant_that_comes_back_is_limited_as_before(lab):
    """Also when runs of its former life still clean up: one after the other."""
    feed, running, most = lab.Feed(), [], []

    async def behave(tenant: str) -> None:
        if tenant != "b":
            return
        running.append(tenant)
        most.append(len(running))
        try:
            await anyio.sleep(20)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)
            running.remove(tenant)

    works = [lab.Work(behave) for _ in range(3)]
    specs = [WorkerSpec(f"w{number}", 60, work) for number, work in enumerate(works)]
    shops = lab.Shops(*specs, tenants=("a", "b"), changes=feed)

    async def script() -> None:
        for _ in range(6):
            await anyio.sleep(7)
            feed.remove("b")
            feed.add("b")

    await lab.run_for(400, lab.scheduler(shops, splay=False, max_running_per_tenant=1), script)

    assert max(most) == 1
    assert all(work.of("b")[-1] > 300 for work in works)


async def test_two_tenants_of_one_name_in_two_modules_are_two(lab):
    """Each has its own limit: they are tenants of different types."""
    busy = Busy(10)
    mine = lab.Shops(*[WorkerSpec(f"w{number}", 60, busy.of(f"w{number}")) for number in range(3)], tenants=("a",))
    others = lab.Shops(*[WorkerSpec(f"x{number}", 60, busy.of(f"x{number}")) for number in range(3)], tenants=("a",))

    await lab.run_for(59, lab.scheduler(mine, others, splay=False, max_running_per_tenant=1))

    assert busy.most["a"] == 2
    assert [len([at for spec, _, at in busy.starts if spec.startswith(letter)]) for letter in "wx"] == [3, 3]


@pytest.mark.parametrize("runs", [0, -1, True, 1.5, "3"])
async def test_a_limit_of_a_tenant_that_is_no_number_of_runs_is_refused(lab, runs):
    """With the value in the message."""
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 10, lab.Work())), max_running_per_tenant=runs)

    with pytest.raises(ValueError, match=repr(runs)):
        await scheduler.run()
