"""bulkhead.max: so many at once, a bounded queue in order of arrival, and no slot that is ever lost."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import pytest

import longrun
from longrun import BulkheadFull, Pipeline, PipelineError, Rejected, TimeoutExceeded, bulkhead, retry, timeout
from longrun.backoff import constant
from longrun.bulkhead import BulkheadRejected, BulkheadWaited, Statistics
from longrun.testing import Hang, RecordingListener, Script, isolated

pytestmark = pytest.mark.anyio


class Meter:
    """Work of so many seconds that knows how often it runs at once."""

    def __init__(self, length: float = 1.0) -> None:
        self.length = length
        self.running = self.most = self.done = 0

    async def __call__(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await anyio.sleep(self.length)
            self.done += 1
        finally:
            self.running -= 1


async def test_no_more_than_the_limit_run_at_once_and_the_others_wait() -> None:
    """Ten calls of one second through three slots take four seconds."""
    option, work = bulkhead.max(3, queue=7), Meter()
    policy, began = Pipeline(option), anyio.current_time()

    async with anyio.create_task_group() as tg:
        for _ in range(10):
            tg.start_soon(policy.do, work)

    assert (work.most, work.done) == (3, 10)
    assert anyio.current_time() - began == pytest.approx(4)
    assert option.statistics() == Statistics(limit=3, queue=7, running=0, queued=0)


async def test_a_full_bulkhead_refuses_at_once_and_says_what_is_in_it() -> None:
    """The call never runs; the error names limit, running and queued."""
    policy, work, late = Pipeline(bulkhead.max(2, queue=1), name="prices"), Script(Hang()), Script("ok")

    async with anyio.create_task_group() as tg:
        for _ in range(3):
            tg.start_soon(policy.do, work)
        await anyio.sleep(1)
        began = anyio.current_time()
        with pytest.raises(BulkheadFull) as caught:
            await policy.do(late)
        tg.cancel_scope.cancel()

    assert anyio.current_time() == began
    assert late.calls == 0
    assert isinstance(caught.value, Rejected)
    assert str(caught.value) == (
        "the bulkhead of 'prices' is full: 2 of 2 running, 1 of 1 queued; "
        "call less at once, or raise the limit or the queue"
    )


async def test_calls_are_let_in_in_order_of_arrival() -> None:
    """Nobody overtakes, not even a newcomer in the turn in which a slot is given back."""
    policy, order = Pipeline(bulkhead.max(1, queue=100)), list[int]()

    async def work(number: int) -> None:
        order.append(number)
        await anyio.sleep(1)

    async with anyio.create_task_group() as tg:
        for number in range(20):
            tg.start_soon(policy.do, work, number)
            await anyio.sleep(0.3)

    assert order == list(range(20))


async def test_a_free_slot_costs_no_turn_of_the_event_loop() -> None:
    """The call runs to its first own checkpoint, driven by hand."""

    async def work() -> str:
        return "ok"

    call: Coroutine[Any, Any, str] = Pipeline(bulkhead.max(1)).do(work)

    with pytest.raises(StopIteration) as done:
        call.send(None)

    assert done.value.value == "ok"


@pytest.mark.parametrize("failure", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
async def test_a_call_that_raises_gives_its_slot_back(failure: BaseException) -> None:
    """Whatever it raises comes out unchanged."""
    option = bulkhead.max(1)
    policy = Pipeline(option)

    async def work() -> None:
        raise failure

    with pytest.raises(type(failure)) as caught:
        await policy.do(work)

    assert caught.value is failure
    assert option.statistics().running == 0


async def test_the_deadline_ends_the_wait_with_the_true_cause() -> None:
    """BulkheadFull just before the deadline, and not a bare time-out at it."""
    option = bulkhead.max(1, queue=5)
    policy = Pipeline(option)

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Script(Hang()))
        await anyio.wait_all_tasks_blocked()
        began = anyio.current_time()
        with pytest.raises(BulkheadFull, match=r"had no slot for 9 s, and the deadline is here: 1 of 1 running"):
            await _within(9, policy, Script("never"))
        ended = anyio.current_time()
        assert option.statistics() == Statistics(1, 5, running=1, queued=0)
        tg.cancel_scope.cancel()

    assert 8.99 < ended - began < 9


async def test_a_deadline_that_has_passed_refuses_at_once() -> None:
    """There is nothing left to wait with; the time is not waited out."""
    policy = Pipeline(bulkhead.max(1, queue=5))

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Script(Hang()))
        await anyio.sleep(1)
        began = anyio.current_time()
        with anyio.CancelScope() as scope:
            scope.deadline = began  # not yet noticed by the event loop
            with pytest.raises(BulkheadFull, match="deadline is here"):
                await policy.do(Script("never"))
        tg.cancel_scope.cancel()

    assert anyio.current_time() == began


async def test_a_deadline_that_moves_is_followed() -> None:
    """A queued call waits on when its time is extended meanwhile."""
    policy = Pipeline(bulkhead.max(1, queue=5))

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Meter(10))
        await anyio.sleep(1)
        with anyio.fail_after(5) as scope:
            tg.start_soon(_extend, scope, 20)
            result = await policy.do(Script("in the end"))

    assert result == "in the end"


async def test_a_cancelled_caller_stays_cancelled_and_learns_what_took_so_long() -> None:
    """Outer cancellation is no BulkheadFull, whether it comes before or during the wait."""
    option = bulkhead.max(1, queue=5)
    policy = Pipeline(option)

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Script(Hang()))
        await anyio.sleep(1)
        with anyio.CancelScope() as before:
            before.cancel()
            await policy.do(Script("never"))
        with anyio.CancelScope() as during:
            tg.start_soon(_cancel_after, during, 3)
            try:
                await policy.do(Script("never"))
            except anyio.get_cancelled_exc_class() as cancelled:
                cause = cancelled.__cause__
                raise
        assert option.statistics().queued == 0
        tg.cancel_scope.cancel()

    assert before.cancelled_caught
    assert during.cancelled_caught
    assert isinstance(cause, BulkheadFull)
    assert "had no slot for 3 s: 1 of 1 running" in str(cause)
    assert option.statistics().running == 0


async def test_the_wait_in_the_queue_is_not_charged_to_a_limit_below() -> None:
    """Five calls of two seconds, one at a time, each with three seconds for itself."""
    policy, work = Pipeline(bulkhead.max(1, queue=10), timeout.after(3)), Meter(2)

    async with anyio.create_task_group() as tg:
        for _ in range(5):
            tg.start_soon(policy.do, work)

    assert work.done == 5


async def test_a_limit_below_that_expires_gives_the_slot_to_the_next() -> None:
    """A time-out is one more way for a call to end."""
    option = bulkhead.max(1, queue=1)
    policy = Pipeline(option, timeout.after(3))

    async with anyio.create_task_group() as tg:
        tg.start_soon(_expect, TimeoutExceeded, policy.do, Script(Hang()))
        await anyio.sleep(1)
        result = await policy.do(Script("next"))

    assert result == "next"
    assert option.statistics().running == 0


async def test_a_waiter_cancelled_in_the_turn_in_which_it_gets_the_slot_passes_it_on() -> None:
    """The slot goes to the one behind it; none is lost, none appears."""
    option = bulkhead.max(1, queue=2)
    policy, release = Pipeline(option), anyio.Event()
    second, third, scope = Script(Hang()), Script("third"), anyio.CancelScope()

    async def first() -> None:
        await policy.do(release.wait)
        scope.cancel()  # the slot is the second's by now, and it has not come to run yet

    async def cancelled() -> None:
        with scope:
            await policy.do(second)

    async with anyio.create_task_group() as tg:
        for call in (first, cancelled, partial(policy.do, third)):
            tg.start_soon(call)
            await anyio.wait_all_tasks_blocked()
        release.set()

    assert scope.cancelled_caught
    assert third.calls == 1
    assert option.statistics() == Statistics(1, 2, running=0, queued=0)


def test_a_task_cancelled_by_asyncio_itself_in_that_turn_passes_it_on_unused() -> None:
    """task.cancel() strikes where anyio's own scopes wait for the next checkpoint: the call never begins."""
    option = bulkhead.max(1, queue=2)
    policy, second, third = Pipeline(option), Script("second"), Script("third")

    async def main() -> None:
        release = anyio.Event()

        async def holder() -> None:
            await policy.do(release.wait)
            cancelled.cancel()  # the slot is this one's by now, and it has not come to run yet

        first = asyncio.create_task(holder())
        await asyncio.sleep(0)
        cancelled, last = asyncio.create_task(policy.do(second)), asyncio.create_task(policy.do(third))
        await asyncio.sleep(0)
        release.set()
        await asyncio.gather(first, last)
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    asyncio.run(main())

    assert (second.calls, third.calls) == (0, 1)
    assert option.statistics() == Statistics(1, 2, running=0, queued=0)


async def test_one_task_may_hold_several_slots() -> None:
    """Slots are counted and not lent to tasks: nested use works while there are enough of them."""
    option = bulkhead.max(2)
    policy = Pipeline(option)

    async def outer() -> tuple[str, int]:
        return await policy.do(Script("inner")), option.statistics().running

    assert await policy.do(outer) == ("inner", 1)
    assert option.statistics().running == 0


async def test_a_retry_above_waits_and_comes_back_when_it_names_the_refusal() -> None:
    """on(BulkheadFull) retries it; on(Exception) does not."""
    policy = Pipeline(bulkhead.max(1))
    patient = Pipeline(retry.on(BulkheadFull, 5, constant(2)), policy_of(policy))
    blind = Pipeline(retry.on(Exception, 5, constant(2)), policy_of(policy))

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Meter(3))
        await anyio.sleep(1)
        with pytest.raises(BulkheadFull):
            await blind.do(Script("ok"))
        result = await patient.do(Script("ok"))

    assert result == "ok"


async def test_each_pipeline_counts_for_itself_unless_the_bulkhead_has_a_name() -> None:
    """One unnamed option in two pipelines is two counts, a name is one."""
    own, named = bulkhead.max(1), bulkhead.max(1, name="db")

    async with anyio.create_task_group() as tg:
        with isolated():
            tg.start_soon(Pipeline(own, named).do, Script(Hang()))
            await anyio.sleep(1)
            assert await Pipeline(own).do(Script("its own slot")) == "its own slot"
            with pytest.raises(BulkheadFull, match="bulkhead 'db' is full: 1 of 1 running, 0 of 0 queued"):
                await longrun.do(Script("never"), bulkhead.max(1, name="db"))
            assert named.statistics().running == 1
            tg.cancel_scope.cancel()


async def test_do_refuses_a_bulkhead_without_a_name() -> None:
    """A new one for each call would protect nothing."""
    with pytest.raises(PipelineError, match="give it a name, or build a Pipeline once"):
        await longrun.do(Script("ok"), bulkhead.max(1))


def test_one_name_with_two_settings_is_refused() -> None:
    """Two parts of a program would believe in two limits."""
    with isolated():
        Pipeline(bulkhead.max(1, name="db"))
        Pipeline(bulkhead.max(1, name="db"))

        with pytest.raises(PipelineError, match=r"bulkhead 'db' exists with other settings: \(limit=1, queue=0\), and"):
            Pipeline(bulkhead.max(2, name="db"))


def test_statistics_of_an_unnamed_option_need_exactly_one_pipeline() -> None:
    """In none or in two of them the question has no answer; a pipeline that is gone does not count."""
    option = bulkhead.max(1)
    with pytest.raises(PipelineError, match="in 0 pipelines"):
        option.statistics()
    first, second = Pipeline(option), Pipeline(option)
    with pytest.raises(PipelineError, match="in 2 pipelines"):
        option.statistics()

    del second
    gc.collect()

    assert option.statistics() == Statistics(1, 0, 0, 0)
    assert "at most 1 running, 0 queued" in first.describe()


async def test_the_limit_can_be_changed_at_run_time() -> None:
    """Upward the queue moves at once; downward calls run to their end."""
    option, work = bulkhead.max(1, queue=10), Meter(10)
    policy = Pipeline(option)

    async with anyio.create_task_group() as tg:
        for _ in range(6):
            tg.start_soon(policy.do, work)
        await anyio.sleep(1)
        option.resize(4)
        await anyio.sleep(1)
        grown = option.statistics()
        option.resize(2)
        await anyio.sleep(8.5)
        shrunk = option.statistics()

    assert grown == Statistics(limit=4, queue=10, running=4, queued=2)
    assert shrunk == Statistics(limit=2, queue=10, running=3, queued=2)  # the first ended, nobody came
    assert (work.most, work.done) == (4, 6)


async def test_who_waits_and_who_is_refused_can_be_heard(events: RecordingListener) -> None:
    """One event for each wait and each refusal; a call with a free slot makes none."""
    policy = Pipeline(longrun.observe(events), bulkhead.max(1, queue=1), name="prices")

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Meter(5))
        await anyio.wait_all_tasks_blocked()
        tg.start_soon(policy.do, Meter(1))
        await anyio.sleep(1)
        with pytest.raises(BulkheadFull):
            await policy.do(Script("never"))

    (waited,), (rejected,) = events.of(BulkheadWaited), events.of(BulkheadRejected)
    assert (waited.subject, waited.bulkhead, waited.wait) == ("prices", None, pytest.approx(5))
    assert (rejected.reason, rejected.limit, rejected.running, rejected.queued) == ("is full", 1, 1, 1)
    assert (waited.name, rejected.name) == ("bulkhead.waited", "bulkhead.rejected")


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_cancellations_loses_no_slot(seed: int) -> None:
    """Hundreds of calls that end, raise, expire and are cancelled at random instants."""
    chance, work = random.Random(seed), Meter()
    option = bulkhead.max(7, queue=200)
    policy = Pipeline(option)

    async def caller() -> None:
        await anyio.sleep(chance.choice((0, 0, 1, 2.5)))
        with anyio.move_on_after(chance.choice((0, 0.5, 1, 1, 2, 3, 100))):
            try:
                await policy.do(chance.choice((work, work, Script(ValueError()))))
            except (BulkheadFull, ValueError):
                return

    async with anyio.create_task_group() as tg:
        for _ in range(600):
            tg.start_soon(caller)

    assert work.most == 7
    assert work.done > 7
    assert option.statistics() == Statistics(7, 200, running=0, queued=0)


@pytest.mark.slow
async def test_ten_thousand_calls_share_one_bulkhead() -> None:
    """Each has its turn, and leaving from the middle of the queue is cheap."""
    option, work = bulkhead.max(100, queue=10_000), Meter()
    policy = Pipeline(option)

    async with anyio.create_task_group() as tg:
        for number in range(10_000):
            tg.start_soon(_within, 20.5 if number % 2 else 1000, policy, work, True)

    assert work.most == 100
    assert work.done > 5_000
    assert option.statistics() == Statistics(100, 10_000, running=0, queued=0)


def test_a_call_that_is_thrown_away_gives_its_slot_back() -> None:
    """A coroutine that nobody finishes is closed by the collector, outside of any event loop."""
    option = bulkhead.max(1)
    policy = Pipeline(option)
    call = policy.do(_suspended)
    call.send(None)
    assert option.statistics().running == 1

    del call
    gc.collect()

    assert option.statistics().running == 0


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, float("nan"), "3", None])
def test_a_limit_that_is_none_is_refused(limit: int) -> None:
    """The message names the value and what to give."""
    with pytest.raises(PipelineError, match=r"bulkhead\.max limit is .*; give a whole number of at least 1"):
        bulkhead.max(limit)


@pytest.mark.parametrize("queue", [-1, True, 0.5, float("inf"), None])
def test_a_queue_that_is_none_is_refused(queue: int) -> None:
    """The queue is bounded, always."""
    with pytest.raises(PipelineError, match=r"bulkhead\.max queue is .*; give a whole number of at least 0"):
        bulkhead.max(1, queue=queue)


@pytest.mark.parametrize("name", ["", 5, b"db"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """An empty name would be shared by accident."""
    with pytest.raises(PipelineError, match=r"bulkhead\.max name is "):
        bulkhead.max(1, name=name)


def test_a_new_limit_that_is_none_is_refused() -> None:
    """A limit of nothing would stop everything for ever."""
    option = bulkhead.max(1)
    policy = Pipeline(option)

    with pytest.raises(PipelineError, match="bulkhead limit is 0"):
        option.resize(0)

    assert option.statistics().limit == 1
    assert repr(policy) == "<Pipeline call: bulkhead: at most 1 running, 0 queued>"


class _Suspended:
    def __await__(self) -> Any:
        yield


async def _suspended() -> None:
    await _Suspended()


def policy_of(policy: Pipeline) -> Callable[..., Awaitable[Any]]:
    """*policy* as a custom option."""

    async def through(call: Callable[[], Awaitable[Any]]) -> Any:
        return await policy.do(call)

    return through


async def _within(limit: float, policy: Pipeline, work: Callable[[], Awaitable[Any]], quiet: bool = False) -> None:
    try:
        with anyio.fail_after(limit):
            await policy.do(work)
    except (BulkheadFull, TimeoutError):
        if not quiet:
            raise


async def _expect(error: type[Exception], fn: Callable[..., Awaitable[Any]], *args: Any) -> None:
    with pytest.raises(error):
        await fn(*args)


async def _extend(scope: anyio.CancelScope, seconds: float) -> None:
    await anyio.sleep(2)
    scope.deadline += seconds


async def _cancel_after(scope: anyio.CancelScope, seconds: float) -> None:
    await anyio.sleep(seconds)
    scope.cancel()
