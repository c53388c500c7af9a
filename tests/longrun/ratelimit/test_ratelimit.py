"""ratelimit.wait: each in its turn, refused early when the turn would come too late, and no token that is lost."""

import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import anyio
import pytest

import longrun
from longrun import Pipeline, PipelineError, RateLimited, Rejected, ratelimit, retry, timeout
from longrun.backoff import constant
from longrun.ratelimit import RateLimitRejected, RateLimitWaited, Statistics
from longrun.testing import RecordingListener, Script, isolated

pytestmark = pytest.mark.anyio


class Starts:
    """Work that writes down when it starts, in seconds since it was made."""

    def __init__(self) -> None:
        self.began = anyio.current_time()
        self.at: list[float] = []

    async def __call__(self) -> None:
        self.at.append(round(anyio.current_time() - self.began, 6))


async def crowd(policy: Pipeline, count: int) -> list[float]:
    """When *count* calls that are made at once start."""
    work = Starts()
    async with anyio.create_task_group() as tg:
        for _ in range(count):
            tg.start_soon(policy.do, work)
    return work.at


async def test_eight_calls_at_one_per_second_pass_a_limit_of_five_seconds_below() -> None:
    """Waiting for a token is not charged to the attempt."""
    policy = Pipeline(ratelimit.wait(1), timeout.after(5))

    assert await crowd(policy, 8) == pytest.approx([0, 1, 2, 3, 4, 5, 6, 7])


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    """After a quiet time the burst is there again, and no more than it."""
    policy = Pipeline(ratelimit.wait(2, per=1, burst=3))

    first = await crowd(policy, 6)
    await anyio.sleep(100)
    second = await crowd(policy, 5)

    assert first == pytest.approx([0, 0, 0, 0.5, 1, 1.5])
    assert second == pytest.approx([0, 0, 0, 0.5, 1])


@pytest.mark.parametrize(
    ("rate", "per", "starts"),
    [
        (3, 1.0, [0, 0, 0, 1 / 3, 2 / 3]),
        (0.5, 1.0, [0, 2, 4, 6, 8]),
        (2, timedelta(minutes=1), [0, 0, 30, 60, 90]),
    ],
)
async def test_the_burst_that_is_not_given_is_one_period(rate: float, per: float, starts: list[float]) -> None:
    """Three per second: three at once, then one each third of a second."""
    assert await crowd(Pipeline(ratelimit.wait(rate, per)), 5) == pytest.approx(starts, abs=1e-5)


async def test_a_token_that_is_there_costs_no_turn_of_the_event_loop() -> None:
    """The call runs to its first own checkpoint, driven by hand."""

    async def work() -> str:
        return "ok"

    call: Coroutine[Any, Any, str] = Pipeline(ratelimit.wait(1)).do(work)

    with pytest.raises(StopIteration) as done:
        call.send(None)

    assert done.value.value == "ok"


async def test_calls_start_in_order_of_arrival() -> None:
    """Also those that arrive while others wait."""
    policy, order = Pipeline(ratelimit.wait(1)), list[int]()

    async def work(number: int) -> None:
        order.append(number)

    async with anyio.create_task_group() as tg:
        for number in range(20):
            tg.start_soon(policy.do, work, number)
            await anyio.sleep(0.3)

    assert order == list(range(20))


@pytest.mark.parametrize("limit", [anyio.move_on_after, anyio.fail_after])
async def test_a_token_behind_the_deadline_refuses_at_once(limit: Callable[[float], Any]) -> None:
    """The error says when to come back; nothing is waited for, nothing is taken."""
    option = ratelimit.wait(1, per=10)
    policy, late = Pipeline(option, name="prices"), Script("never")
    await policy.do(Script("first"))
    await anyio.sleep(3)
    began = anyio.current_time()

    with pytest.raises(RateLimited) as caught, limit(5):
        await policy.do(late)

    assert anyio.current_time() == began
    assert late.calls == 0
    assert isinstance(caught.value, Rejected)
    assert caught.value.retry_after == pytest.approx(7)
    assert str(caught.value) == (
        "the rate limit of 'prices': the next token comes in 7 s, the deadline in 5 s; "
        "call less often, or give it more time"
    )
    assert option.statistics().queued == 0


async def test_the_place_in_the_line_counts_for_the_deadline() -> None:
    """Three wait already: the fourth token comes after 4 s, which does not fit into 3.5 s but into 4.5 s."""
    policy = Pipeline(ratelimit.wait(1))

    async with anyio.create_task_group() as tg:
        for _ in range(4):
            tg.start_soon(policy.do, Script("ok"))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RateLimited) as caught, anyio.fail_after(3.5):
            await policy.do(Script("never"))
        with anyio.fail_after(4.5):
            result = await policy.do(Script("in time"))

    assert caught.value.retry_after == pytest.approx(4)
    assert result == "in time"


async def test_a_retry_that_names_the_refusal_comes_back_when_the_token_does() -> None:
    """retry_after is the wait hint of the retry above."""
    limit = ratelimit.wait(1, per=10, name="prices", queue=0)
    with isolated():
        work = Starts()
        policy = Pipeline(retry.on(RateLimited, 3, constant(1)), limit)

        await policy.do(work)
        await policy.do(work)

    assert work.at == pytest.approx([0, 10])


async def test_a_cancelled_waiter_lets_all_behind_it_move_up() -> None:
    """It had taken no token: the calls behind start a second earlier for each one that left."""
    option = ratelimit.wait(1)
    policy, work = Pipeline(option), Starts()
    scopes = [anyio.CancelScope() for _ in range(8)]

    async def caller(scope: anyio.CancelScope) -> None:
        with scope:
            await policy.do(work)

    async with anyio.create_task_group() as tg:
        for scope in scopes:
            tg.start_soon(caller, scope)
            await anyio.wait_all_tasks_blocked()
        await anyio.sleep(1.5)
        for gone in (2, 4, 5):  # the head of the line, and two behind it
            scopes[gone].cancel()

    assert work.at == pytest.approx([0, 1, 2, 3, 4])
    assert option.statistics() == Statistics(rate=1, per=1, burst=1, tokens=0, queued=0)


async def test_a_cancelled_caller_stays_cancelled_and_learns_what_took_so_long() -> None:
    """Outer cancellation is no RateLimited, whether it comes before or during the wait."""
    policy = Pipeline(ratelimit.wait(1, per=100))
    await policy.do(Script("first"))

    async with anyio.create_task_group() as tg:
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

    assert before.cancelled_caught
    assert during.cancelled_caught
    assert isinstance(cause, RateLimited)
    assert "no token came in 3 s" in str(cause)


async def test_a_deadline_that_moved_nearer_is_seen_at_the_head_of_the_line() -> None:
    """It is read again before the token is waited for, and the call is refused at once."""
    policy = Pipeline(ratelimit.wait(1, per=10))
    await policy.do(Script("first"))

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, Script("second"))
        await anyio.wait_all_tasks_blocked()
        began = anyio.current_time()
        with anyio.fail_after(25) as scope:
            tg.start_soon(_move, scope, 5, began + 12)
            with pytest.raises(RateLimited) as caught:
                await policy.do(Script("never"))
        ended = anyio.current_time()

    assert ended - began == pytest.approx(10)  # as the head it sees that its token comes too late
    assert caught.value.retry_after == pytest.approx(10)


async def test_a_bounded_line_refuses_whom_it_cannot_hold() -> None:
    """queue=0 never waits; queue=1 holds one."""
    hasty, short = Pipeline(ratelimit.wait(1, queue=0)), Pipeline(ratelimit.wait(1, queue=1))
    await hasty.do(Script("ok"))
    await short.do(Script("ok"))

    with pytest.raises(RateLimited, match="no token is left and 0 calls wait, as many as may") as now:
        await hasty.do(Script("never"))
    async with anyio.create_task_group() as tg:
        tg.start_soon(short.do, Script("waits"))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RateLimited, match="1 calls wait") as behind:
            await short.do(Script("never"))

    assert now.value.retry_after == pytest.approx(1)
    assert behind.value.retry_after == pytest.approx(2)


async def test_a_call_that_fails_has_used_its_token() -> None:
    """The other side has seen it."""
    option = ratelimit.wait(1, per=10, burst=2)
    policy = Pipeline(option)

    with pytest.raises(ValueError, match="no"):
        await policy.do(Script(ValueError("no")))

    assert option.statistics().tokens == 1


async def test_below_a_retry_each_attempt_takes_a_token() -> None:
    """Two failures and a success are three calls for the other side."""
    work = Script(ValueError(), ValueError(), "ok")

    await Pipeline(retry.on(ValueError, 3, constant(0)), ratelimit.wait(1)).do(work)

    assert work.started == pytest.approx([work.started[0] + second for second in (0, 1, 2)])


async def test_each_pipeline_has_its_own_tokens_unless_the_limit_has_a_name() -> None:
    """One unnamed option in two pipelines is two limits, a name is one."""
    own, named = ratelimit.wait(1, queue=0), ratelimit.wait(1, queue=0, name="api")

    with isolated():
        await Pipeline(own, named).do(Script("ok"))
        assert await Pipeline(own).do(Script("its own token")) == "its own token"
        with pytest.raises(RateLimited, match="rate limit 'api': no token is left"):
            await longrun.do(Script("never"), ratelimit.wait(1, queue=0, name="api"))
        assert named.statistics().tokens == 0


def test_statistics_of_an_unnamed_option_need_exactly_one_pipeline() -> None:
    """In none or in two of them the question has no answer."""
    option = ratelimit.wait(3)
    with pytest.raises(PipelineError, match="in 0 pipelines"):
        option.statistics()
    kept = [Pipeline(option)]
    assert option.statistics() == Statistics(rate=3, per=1, burst=3, tokens=3, queued=0)
    kept.append(Pipeline(option))

    with pytest.raises(PipelineError, match="in 2 pipelines"):
        option.statistics()


async def test_do_refuses_a_limit_without_a_name() -> None:
    """A new one for each call would limit nothing."""
    with pytest.raises(PipelineError, match="give it a name, or build a Pipeline once"):
        await longrun.do(Script("ok"), ratelimit.wait(1))


def test_one_name_with_two_settings_is_refused() -> None:
    """Two parts of a program would believe in two rates; what is left to the default is no other setting."""
    with isolated():
        Pipeline(ratelimit.wait(5, name="api"))
        Pipeline(ratelimit.wait(5, 1, burst=5, name="api"))

        with pytest.raises(PipelineError, match=r"'api' exists with other settings: \(rate=5, per=1, burst=5\), and"):
            Pipeline(ratelimit.wait(5, burst=1, name="api"))


def test_describe_says_what_is_let_through() -> None:
    """In the words of the settings."""
    policy = Pipeline(ratelimit.wait(5000, per=3600, name="api"), ratelimit.wait(10, burst=1, queue=3))

    assert policy.describe().splitlines()[1:3] == [
        "  rate limit 'api': 5000 per 3600 s, 5000 at once",
        "  rate limit: 10 per 1 s, 1 at once, 3 queued",
    ]


async def test_who_waits_and_who_is_refused_can_be_heard(events: RecordingListener) -> None:
    """One event for each wait and each refusal; a call with a token makes none."""
    policy = Pipeline(longrun.observe(events), ratelimit.wait(1, per=4), name="prices")

    await policy.do(Script("ok"))
    await policy.do(Script("ok"))
    with pytest.raises(RateLimited), anyio.fail_after(1):
        await policy.do(Script("never"))

    (waited,), (rejected,) = events.of(RateLimitWaited), events.of(RateLimitRejected)
    assert (waited.subject, waited.limit, waited.wait) == ("prices", None, pytest.approx(4))
    assert (rejected.retry_after, rejected.reason) == (
        pytest.approx(4),
        "the next token comes in 4 s, the deadline in 1 s",
    )
    assert (waited.name, rejected.name) == ("ratelimit.waited", "ratelimit.rejected")


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_cancellations_neither_loses_nor_invents_a_token(seed: int) -> None:
    """Whoever stays starts at full rate, with no gap and no crowd."""
    chance, option = random.Random(seed), ratelimit.wait(10, burst=1)
    policy, work = Pipeline(option), Starts()
    stayed = 0

    async def caller(patience: float) -> None:
        nonlocal stayed
        with anyio.CancelScope() as scope:
            tg.start_soon(_cancel_after, scope, patience)
            await policy.do(work)
            stayed += 1

    async with anyio.create_task_group() as tg:
        for _ in range(600):
            tg.start_soon(caller, chance.choice((0, 0.05, 1, 3, 7.77, 500)))

    gaps = [later - earlier for earlier, later in zip(work.at, work.at[1:], strict=False)]
    assert stayed == len(work.at) > 80
    assert gaps == pytest.approx([0.1] * len(gaps), abs=1e-5)
    assert option.statistics().queued == 0


@pytest.mark.slow
async def test_ten_thousand_calls_share_one_limit() -> None:
    """Each has its turn, in time."""
    starts = await crowd(Pipeline(ratelimit.wait(100, burst=1)), 10_000)

    assert len(starts) == 10_000
    assert starts[-1] == pytest.approx(99.99, abs=1e-3)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), True, "3", None, 10**400])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    """The message names the value and what to give."""
    with pytest.raises(PipelineError, match=r"ratelimit\.wait rate is .*; give a finite number of calls above 0"):
        ratelimit.wait(rate)


@pytest.mark.parametrize("per", [0, -1, float("nan"), float("inf"), True, "3", None])
def test_a_period_that_is_none_is_refused(per: float) -> None:
    """Seconds, or a timedelta."""
    with pytest.raises(PipelineError, match=r"ratelimit\.wait per is .*; give seconds"):
        ratelimit.wait(1, per)


@pytest.mark.parametrize("burst", [0, -1, 1.5, float("nan"), True, "3"])
def test_a_burst_that_is_none_is_refused(burst: int) -> None:
    """With no token at all nothing would ever start."""
    with pytest.raises(PipelineError, match=r"ratelimit\.wait burst is "):
        ratelimit.wait(1, burst=burst)


@pytest.mark.parametrize("queue", [-1, 1.5, True, "3"])
def test_a_line_that_is_none_is_refused(queue: int) -> None:
    """0 is the shortest."""
    with pytest.raises(PipelineError, match=r"ratelimit\.wait queue is "):
        ratelimit.wait(1, queue=queue)


@pytest.mark.parametrize(("rate", "per", "burst"), [(1e-300, 1e300, None), (1e308, 1e-300, 1), (1, 1e300, 10**20)])
def test_tokens_that_no_clock_can_tell_apart_are_refused(rate: float, per: float, burst: int | None) -> None:
    """Numbers that a float cannot hold together."""
    with pytest.raises(PipelineError, match="no clock can tell apart"):
        ratelimit.wait(rate, per, burst=burst)


@pytest.mark.parametrize("name", ["", 5, b"api"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """An empty name would be shared by accident."""
    with pytest.raises(PipelineError, match=r"ratelimit\.wait name is "):
        ratelimit.wait(1, name=name)


async def _cancel_after(scope: anyio.CancelScope, seconds: float) -> None:
    await anyio.sleep(seconds)
    scope.cancel()


async def _move(scope: anyio.CancelScope, seconds: float, deadline: float) -> None:
    await anyio.sleep(seconds)
    scope.deadline = deadline
