"""Limits: how many runs of some tasks go on at a time, and who is next."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

from longrun import Baseline, Gate, Limit, Outcome, Policy, Runner, Task, retry
from longrun.backoff import constant
from longrun.testing import Hang, Script

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]
RunFor = Callable[..., Awaitable[Outcome]]


class Floor:
    """Work that notes who is inside, for how long, and in which order."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.inside: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self._begun = anyio.current_time()

    def work(self, name: str, seconds: float, *groups: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            self.order.append(f"{name}@{anyio.current_time() - self._begun:.0f}")
            for group in groups:
                self.inside[group] = self.inside.get(group, 0) + 1
                self.most[group] = max(self.most.get(group, 0), self.inside[group])
            try:
                await anyio.sleep(seconds)
            finally:
                for group in groups:
                    self.inside[group] -= 1

        return run


async def test_each_group_has_its_own_limit(run_for: RunFor) -> None:
    """Ten tasks of each of three tenants, limits of 1, 2 and 3."""
    floor, limits = Floor(), {f"tenant-{runs}": Limit(f"tenant-{runs}", runs) for runs in (1, 2, 3)}

    await run_for(
        100,
        *[
            Task.every(f"{group}-{n}", 40, floor.work(f"{group}-{n}", 3, group), limits=[limit])
            for group, limit in limits.items()
            for n in range(10)
        ],
    )

    assert floor.most == {"tenant-1": 1, "tenant-2": 2, "tenant-3": 3}
    assert [limit.used for limit in limits.values()] == [0, 0, 0]


async def test_a_task_may_have_several_limits_and_takes_all_or_none(run_for: RunFor) -> None:
    """That of its tenant and that of its upstream; what it waits for, it does not hold."""
    tenant, upstream, floor = Limit("tenant", 2), Limit("upstream", 1), Floor()

    def both(n: int) -> Task:
        return Task.once(
            f"both-{n}", floor.work(f"both-{n}", 5, "tenant", "upstream"), limits=[tenant, upstream], delay=n
        )

    def single(n: int) -> Task:
        return Task.once(f"single-{n}", floor.work(f"single-{n}", 5, "tenant"), limits=[tenant], delay=n)

    await run_for(100, both(0), both(1), both(2), single(3), single(4), single(5))

    assert floor.most == {"tenant": 2, "upstream": 1}
    assert floor.order == ["both-0@0", "single-3@3", "both-1@5", "single-4@8", "both-2@10", "single-5@13"]
    assert (tenant.used, upstream.used, tenant.waiting, upstream.waiting) == (0, 0, 0, 0)


async def test_the_limits_of_a_task_and_of_its_terms_both_count(run_for: RunFor) -> None:
    """A scheduler of many gives a kind of task one limit, and each task that of its tenant."""
    kind, tenant, floor = Limit("kind", 2), Limit("tenant", 1), Floor()
    terms = Task.once("model", floor.work("model", 1), limits=[kind]).terms

    await run_for(
        100,
        *[Task(f"a-{n}", floor.work(f"a-{n}", 4, "kind", "tenant"), terms, limits=(tenant,)) for n in range(4)],
        *[Task(f"b-{n}", floor.work(f"b-{n}", 4, "kind"), terms) for n in range(4)],
    )

    assert floor.most == {"kind": 2, "tenant": 1}
    assert len(floor.order) == 8


async def test_a_limit_that_is_given_twice_counts_once(run_for: RunFor) -> None:
    """One run takes one share."""
    limit, floor = Limit("tenant", 2), Floor()
    terms = Task.once("model", floor.work("model", 1), limits=[limit, limit]).terms

    await run_for(
        50, *[Task(f"job-{n}", floor.work(f"job-{n}", 5, "tenant"), terms, limits=(limit,)) for n in range(4)]
    )

    assert floor.most == {"tenant": 2}
    assert [entry.split("@")[1] for entry in floor.order] == ["0", "0", "5", "5"]


async def test_the_first_due_is_the_first_served(run_for: RunFor) -> None:
    """Whatever order they were added in."""
    limit, floor = Limit("tenant", 1), Floor()
    delays = [3, 1, 9, 2, 8, 0, 7, 4, 6, 5]

    await run_for(
        60, *[Task.once(f"{d}", floor.work(f"{d}", 5), limits=[limit], delay=d / 10) for d in delays]
    )  # fmt: skip

    assert floor.order == [f"{n}@{5 * n}" for n in range(10)]


async def test_tasks_of_two_limits_that_are_let_in_by_one_run_come_in_the_order_of_their_due_times(
    run_for: RunFor,
) -> None:
    """One slot becomes free: for the older of the two, whichever limit it was waiting for."""
    first, second, floor = Limit("first", 1), Limit("second", 1), Floor()

    await run_for(
        100,
        Task.once("both", floor.work("both", 10), limits=[first, second]),
        Task.once("of the first", floor.work("of the first", 5), limits=[first], delay=1),
        Task.once("of the second", floor.work("of the second", 5), limits=[second], delay=2),
        Task.once("fills", floor.work("fills", 50), delay=3),
        max_running=2,
    )

    assert floor.order == ["both@0", "fills@3", "of the first@10", "of the second@15"]


async def test_one_that_waits_for_its_other_limit_blocks_nobody_behind_it(run_for: RunFor) -> None:
    """The first in the line cannot use the place: it is offered to the next."""
    tenant, upstream, floor = Limit("tenant", 1), Limit("upstream", 1), Floor()

    await run_for(
        400,
        Task.once("of the tenant", floor.work("of the tenant", 10), limits=[tenant]),
        Task.once("upstream hog", floor.work("upstream hog", 299), limits=[upstream], delay=0.4),
        Task.once("both", floor.work("both", 5), limits=[tenant, upstream], delay=1),
        Task.once("next", floor.work("next", 5), limits=[tenant], delay=2),
        Task.once("last", floor.work("last", 5), limits=[tenant], delay=3),
    )

    assert floor.order == ["of the tenant@0", "upstream hog@0", "next@10", "last@15", "both@299"]


@pytest.mark.parametrize("order", ["pause", "remove"])
async def test_one_that_is_taken_out_of_the_line_blocks_nobody_and_loses_nothing(order: str, going: Going) -> None:
    """Those behind it move up; paused, it comes back when it is resumed."""
    limit, floor = Limit("tenant", 1), Floor()
    tasks = [
        Task.every(name, 100, floor.work(name, 10), limits=[limit], delay=delay)
        for delay, name in enumerate(("first", "out", "third"))
    ]

    async with going(*tasks) as runner:
        await anyio.sleep(5)
        waiting = limit.waiting
        getattr(runner, order)("out")
        left = (limit.waiting, runner.statistics().queued)
        await anyio.sleep(27)
        if order == "pause":
            runner.resume("out")
        await anyio.sleep(20)
        used = (limit.used, limit.waiting, runner.statistics().queued)

    assert (waiting, left, used) == (2, (1, 1), (0, 0, 0))
    assert floor.order == ["first@0", "third@10", *(["out@32"] if order == "pause" else [])]


async def test_one_that_is_resumed_before_its_turn_has_kept_its_place(going: Going) -> None:
    """In the line for the limit, and in that for a slot."""
    limit, floor = Limit("tenant", 1), Floor()
    for limits, slots in (((limit,), 10), ((), 1)):
        floor.order.clear()
        tasks = [
            Task.every(name, 100, floor.work(name, 10), limits=limits, delay=delay)
            for delay, name in enumerate(("first", "paused", "third"))
        ]

        async with going(*tasks, max_running=slots) as runner:
            await anyio.sleep(5)
            runner.pause("paused")
            await anyio.sleep(1)
            runner.resume("paused")
            await anyio.sleep(30)

        assert [entry.partition("@")[0] for entry in floor.order] == ["first", "paused", "third"]


@pytest.mark.parametrize("how", ["kill", "remove", "timeout", "fail"])
async def test_however_a_run_ends_its_place_is_given_on(how: str, going: Going) -> None:
    """Killed, removed, timed out, failed for good."""
    limit, next_, begun = Limit("tenant", 1), Script("ok"), anyio.current_time()
    works = {"kill": Script(Hang()), "remove": Script(Hang()), "timeout": Script(Hang()), "fail": Script(10.0)}

    async def fails() -> None:
        await anyio.sleep(10)
        raise ValueError

    first = Task.once(
        "first", fails if how == "fail" else works[how], limits=[limit], timeout=10 if how == "timeout" else None
    )
    async with going(first, Task.once("next", next_, limits=[limit], delay=1)) as runner:
        await anyio.sleep(9.999)
        if how == "kill":
            runner.kill("first", "enough")
        if how == "remove":
            runner.remove("first")
        await anyio.sleep(5)

    assert next_.started[0] - begun == pytest.approx(10, abs=0.02)
    assert limit.used == 0


async def test_a_wait_between_attempts_holds_no_place(run_for: RunFor) -> None:
    """Nor does one behind a closed gate."""
    limit, gate, other = Limit("tenant", 1), Gate("token"), Script("ok")

    class Busy(Exception):
        retry_after = 100.0

    await run_for(
        60,
        Task.once("limited", Script(Busy()), retry.on(Busy, 3, constant(1)), gate=gate, limits=[limit]),
        Task.every("gated", 5, Script("ok"), gate=gate, limits=[limit], delay=1),
        Task.once("failing", Script(ConnectionError()), retry.on(ConnectionError, 3, constant(90)), limits=[limit]),
        Task.every("other", 5, other, limits=[limit], delay=1),
    )

    assert other.calls == 12
    assert limit.used == 0


async def test_one_whose_gate_closes_while_it_stands_in_the_line_leaves_it(run_for: RunFor) -> None:
    """Its turn comes, it is parked, and the next one goes instead."""
    limit, gate, floor = Limit("tenant", 1), Gate("token"), Floor()

    class Busy(Exception):
        retry_after = 100.0

    async def limited(script: Script = Script(Busy(), "ok")) -> None:  # noqa: B008 - one script for all attempts
        await anyio.sleep(3)
        await script()

    await run_for(
        200,
        Task.once("hog", floor.work("hog", 10), limits=[limit]),
        Task.once("gated", floor.work("gated", 1), limits=[limit], gate=gate, delay=1),
        Task.once("next", floor.work("next", 1), limits=[limit], delay=2),
        Task.once("limited", limited, retry.on(Busy, 3, constant(1)), gate=gate),
    )

    assert floor.order[:2] == ["hog@0", "next@10"]
    assert floor.order[2].startswith("gated@1")
    assert limit.used == 0


async def test_a_line_for_a_limit_holds_no_slot(run_for: RunFor) -> None:
    """A hundred tasks behind a limit leave the slots to others."""
    limit, other = Limit("tenant", 1), Script(1.0)

    await run_for(
        59,
        *[Task.every(f"limited-{n}", 5, Script(30.0), limits=[limit]) for n in range(100)],
        Task.every("other", 2, other),
        max_running=2,
    )

    assert other.calls == 30


async def test_the_limit_of_the_runner_counts_beside_them(run_for: RunFor) -> None:
    """Whichever is smaller."""
    wide, narrow, floor = Limit("wide", 10), Limit("narrow", 2), Floor()

    await run_for(
        200,
        *[Task.once(f"wide-{n}", floor.work(f"wide-{n}", 5, "wide", "all"), limits=[wide]) for n in range(20)],
        *[Task.once(f"narrow-{n}", floor.work(f"narrow-{n}", 5, "narrow", "all"), limits=[narrow]) for n in range(9)],
        max_running=4,
    )

    assert floor.most["all"] == 4
    assert floor.most["narrow"] <= 2
    assert floor.most["wide"] <= 4
    assert len(floor.order) == 29


async def test_a_stop_leaves_nothing_of_the_line(going: Going) -> None:
    """What stood in it is stopped, and not started by the run that ends."""
    limit, behind = Limit("tenant", 1), Script("ok")

    async with going(
        Task.once("first", Script(10.0), limits=[limit]),
        *[Task.once(f"behind-{n}", behind, limits=[limit], delay=1) for n in range(5)],
    ) as runner:
        await anyio.sleep(5)
        runner.stop("deploy")
        said = (limit.waiting, runner.statistics().queued)
        await anyio.sleep(10)

    assert said == (0, 0)
    assert behind.calls == 0
    assert (limit.used, limit.waiting) == (0, 0)


@pytest.mark.slow
async def test_five_thousand_parked_units_leave_a_thousand_slots_and_their_limits_to_the_others(
    run_for: RunFor,
) -> None:
    """An hour in a retry; 5,000 others of 50 tenants keep their grid, and nobody's limit is passed."""
    floor, begun = Floor(), anyio.current_time()
    tenants = [Limit(f"tenant-{n}", 20) for n in range(50)]
    starts: dict[str, list[float]] = {}
    parked = Script(ConnectionError())

    def healthy(name: str, tenant: str) -> Callable[[], Any]:
        inner = floor.work(name, 0.01, tenant)

        async def work() -> None:
            starts.setdefault(name, []).append(round(anyio.current_time() - begun))
            await inner()

        return work

    await run_for(
        3700,
        *[Task.once(f"parked-{n}", parked, limits=[tenants[n % 50]]) for n in range(5000)],
        *[
            Task.every(f"{n}", 1800, healthy(f"{n}", f"{n % 50}"), limits=[tenants[n % 50]], delay=10)
            for n in range(5000)
        ],
        baseline=Baseline(node=Policy(constant(3600))),
        max_running=1000,
    )

    assert parked.calls == 10_000
    assert len(starts) == 5000
    assert all(times == [10, 1810, 3610] for times in starts.values())
    assert max(floor.most.values()) <= 20
    assert {limit.used for limit in tenants} == {0}


BAD: list[tuple[Callable[[], object], str]] = [
    (lambda: Limit("", 1), "Limit name is ''; say what is limited"),
    (lambda: Limit(5, 1), "Limit name is 5"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Limit("tenant", 0), "Limit 'tenant': runs is 0; give a whole number of at least 1"),
    (lambda: Limit("tenant", -1), "runs is -1"),
    (lambda: Limit("tenant", True), "runs is True"),
    (lambda: Limit("tenant", 1.5), "runs is 1.5"),  # type: ignore[arg-type]  # wrong on purpose
    (lambda: Task.once("job", Script("ok"), limits=["tenant"]), "task 'job': limit 'tenant' is none; give a Limit"),  # type: ignore[list-item]  # wrong on purpose
]


@pytest.mark.parametrize(("make", "said"), BAD, ids=[said for _make, said in BAD])
def test_what_makes_no_sense_is_refused(make: Callable[[], object], said: str) -> None:
    """By name and value."""
    with pytest.raises(ValueError, match=said):
        make()


def test_a_limit_says_how_it_stands() -> None:
    """What an operator wants to see."""
    limit = Limit("tenant", 3)
    limit.take()

    assert repr(limit) == "<Limit tenant: 1 of 3, 0 waiting>"
    assert (limit.used, limit.waiting, limit.full) == (1, 0, False)
