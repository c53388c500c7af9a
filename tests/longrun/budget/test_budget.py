"""The budget of extra attempts: who shares it, what it refuses, and what comes out then."""

from contextlib import suppress
from threading import Barrier, Thread

import anyio
import pytest

import longrun
from longrun import Pipeline, PipelineError, hedge, retry
from longrun.backoff import constant
from longrun.budget.budget import Budget
from longrun.budget.settings import BudgetSettings
from longrun.rule import BudgetOption
from longrun.testing import Hang, Script, isolated

pytestmark = pytest.mark.anyio


class Flaky(Exception):
    """A failure of the test's own."""


@pytest.fixture(autouse=True)
def _own_budgets():
    """Names of one test do not reach the next."""
    with isolated():
        yield


def state(option: BudgetOption) -> Budget:
    """What the option stands for."""
    assert isinstance(option.budget, Budget)
    return option.budget


async def test_an_exhausted_budget_gives_the_original_error_at_once() -> None:
    """No wait, no other error; the timeline says who stopped."""
    budget = retry.budget("b", ratio=0, floor=1)
    policy = longrun.Pipeline(budget, retry.on(Flaky, None, constant(0.1)))
    failure = Flaky()
    started = anyio.current_time()

    with pytest.raises(Flaky) as caught:
        await policy.do(Script(failure))

    assert caught.value is failure
    assert anyio.current_time() - started == pytest.approx(0.1)
    attempts = longrun.timeline(failure)
    assert len(attempts) == 2
    assert attempts[-1].stopped_by == "budget"
    assert "'b'" in str(attempts[-1].reason)


async def test_calls_earn_and_the_floor_is_always_there() -> None:
    """100 calls at an instant are worth 20 extra attempts, and 10 come on top."""
    policy = longrun.Pipeline(retry.budget("b", ratio=0.2, floor=10), retry.on(Flaky, 1, constant(0.5)))
    works = [Script(Flaky()) for _ in range(100)]

    await storm(policy, works)

    assert sum(work.calls for work in works) - 100 <= 0.2 * 100 + 10
    assert sum(work.calls for work in works) - 100 >= 10


async def test_it_refills_after_recovery() -> None:
    """A storm empties it; a second later the floor is there again, and healthy calls earn the rest."""
    budget = retry.budget("b", ratio=0.5, floor=2)
    policy = longrun.Pipeline(budget, retry.on(Flaky, None, constant(0)))
    with pytest.raises(Flaky):
        await policy.do(Script(Flaky()))
    assert state(budget).statistics().balance == 0

    await anyio.sleep(1)
    after_a_second = state(budget).statistics().balance
    await anyio.sleep(10)
    for _ in range(20):
        await policy.do(Script("ok"))

    assert after_a_second == 2
    assert state(budget).statistics().balance == 12


async def test_one_name_is_one_budget() -> None:
    """Two pipelines that name it spend from one purse."""
    one = longrun.Pipeline(retry.budget("shared", ratio=0, floor=3), retry.on(Flaky, 2, constant(0)))
    two = longrun.Pipeline(retry.budget("shared", ratio=0, floor=3), retry.on(Flaky, 2, constant(0)))
    first, second = Script(Flaky()), Script(Flaky())

    for policy, work in ((one, first), (two, second)):
        with pytest.raises(Flaky):
            await policy.do(work)

    assert first.calls == 3
    assert second.calls == 2


def test_one_name_with_other_numbers_is_refused() -> None:
    """Two parts of a program would believe in two limits."""
    retry.budget("b", ratio=0.2)

    with pytest.raises(longrun.PipelineError, match="exists with other settings"):
        retry.budget("b", ratio=0.3)


async def test_do_takes_a_budget() -> None:
    """It has a name, so it outlives the call."""
    work = Script(Flaky(), "ok")

    assert await longrun.do(work, retry.budget("b"), retry.on(Flaky, 1, constant(0))) == "ok"


async def test_a_cancelled_wait_gives_its_attempt_back() -> None:
    """What was not made is not counted."""
    budget = retry.budget("b", ratio=0, floor=1)
    policy = longrun.Pipeline(budget, retry.on(Flaky, 1, constant(5)))

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Script(Flaky()))
        await anyio.sleep(0.5)
        tg.cancel_scope.cancel()

    statistics = state(budget).statistics()
    assert (statistics.spent, statistics.refunded, statistics.balance) == (1, 1, 1)


async def test_a_cancelled_attempt_is_not_given_back() -> None:
    """It was made: the other side felt it."""
    budget = retry.budget("b", ratio=0, floor=1)
    policy = longrun.Pipeline(budget, retry.on(Flaky, 1, constant(0)))

    with anyio.move_on_after(0.5):
        await policy.do(Script(Flaky(), Hang()))

    assert state(budget).statistics().balance == 0


async def test_a_deadline_that_stops_a_retry_costs_nothing() -> None:
    """The budget is asked last, when everything else agrees."""
    budget = retry.budget("b")
    with pytest.raises(Flaky), anyio.fail_after(1):
        await longrun.do(Script(Flaky()), budget, retry.on(Flaky, 1, constant(5)))

    assert state(budget).statistics().spent == 0


async def test_a_storm_with_cancellations_leaves_the_books_straight() -> None:
    """Hundreds of calls, every third one cut off in its wait: spent less refunded is what was made."""
    budget = retry.budget("b", ratio=0.2, floor=5)
    policy = longrun.Pipeline(budget, retry.on(Flaky, 2, constant(0.3)))
    works = [Script(Flaky()) for _ in range(300)]

    async def one(work: Script, scope: anyio.CancelScope) -> None:
        with scope, suppress(Flaky):
            await policy.do(work)

    async with anyio.create_task_group() as tg:
        scopes = [anyio.CancelScope() for _ in works]
        for work, scope in zip(works, scopes, strict=True):
            tg.start_soon(one, work, scope)
        await anyio.sleep(0.1)
        for scope in scopes[::3]:
            scope.cancel()

    statistics = state(budget).statistics()
    extra = sum(work.calls for work in works) - len(works)
    assert statistics.spent - statistics.refunded == extra
    assert statistics.refunded > 0
    assert statistics.calls == 300
    assert extra <= 0.2 * 300 + 5


def test_threads_with_a_loop_each_stay_within_it() -> None:
    """Eight threads, one name, every call failing."""
    barrier = Barrier(8)
    works: list[Script] = []

    def thread() -> None:
        policy = longrun.Pipeline(retry.budget("threads", ratio=0.1, floor=10), retry.on(Flaky, 3, constant(0)))
        mine = [Script(Flaky()) for _ in range(250)]
        works.extend(mine)
        barrier.wait()
        anyio.run(storm, policy, mine)

    threads = [Thread(target=thread) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    budget = state(retry.budget("threads", ratio=0.1, floor=10))
    extra = sum(work.calls for work in works) - len(works)
    statistics = budget.statistics()
    assert statistics.calls == 2000
    assert statistics.spent == extra
    assert 10 <= extra <= 0.1 * 2000 + 10 * 10


def test_raw_threads_never_overdraw() -> None:
    """Balance and limits hold between any two operations of any thread."""
    budget = Budget("raw", BudgetSettings(ratio=0.0, floor=1000))
    granted: list[int] = []

    def thread() -> None:
        taken = sum(budget.spend() for _ in range(400))
        for _ in range(100):
            budget.refund()
        granted.append(taken)

    threads = [Thread(target=thread) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    statistics = budget.statistics()
    assert statistics.spent == sum(granted)
    assert statistics.spent + statistics.refused == 3200
    assert statistics.refunded == 800
    assert 0 <= statistics.balance <= 1000


async def test_the_option_by_itself_counts_each_call_and_changes_none() -> None:
    """As a layer it earns the call's share, whatever stands below it."""
    option = retry.budget("b", ratio=1, floor=0)

    result = await option(Script("ok"))

    assert result == "ok"
    assert state(option).statistics().calls == 1


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), True, "0.2", None], ids=repr)
@pytest.mark.parametrize("name", ["ratio", "floor"])
def test_nonsense_numbers_are_refused(name: str, value: object) -> None:
    """With the option, the value and the remedy."""
    with pytest.raises(longrun.PipelineError, match=rf"retry\.budget {name} is"):
        retry.budget("b", **{name: value})


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_budget_has_a_name(name: object) -> None:
    """It is shared by it."""
    with pytest.raises(longrun.PipelineError, match="budget name"):
        retry.budget(name)  # type: ignore[arg-type]  # the point of the test


def test_it_says_what_it_allows() -> None:
    """For messages and for describe()."""
    option = retry.budget("hooks")

    assert str(option.budget) == "'hooks' (20 % of the calls of 10 s + 10 per second)"
    assert option.describe() == "budget 'hooks' (20 % of the calls of 10 s + 10 per second)"
    assert "10 left" in repr(option.budget)


async def storm(policy: longrun.Pipeline, works: list[Script]) -> None:
    """All at once; their failures are expected."""

    async def one(work: Script) -> None:
        with suppress(Flaky):
            await policy.do(work)

    async with anyio.create_task_group() as tg:
        for work in works:
            tg.start_soon(one, work)


def test_a_budget_with_nothing_to_govern_below_it_is_refused() -> None:
    """Below the retry it would look like a limit and be none."""
    with pytest.raises(PipelineError, match="governs nothing: no retry rule and no hedge stands below it"):
        Pipeline(retry.on(ConnectionError, 3), retry.budget("idle"))

    Pipeline(retry.budget("retries"), retry.on(ConnectionError, 3))
    Pipeline(retry.budget("hedges"), hedge.after(1))
