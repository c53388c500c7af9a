"""Time limits around and inside a call."""

import anyio
import pytest

import longrun
from longrun import PipelineError, TimeoutExceeded, retry, timeout
from longrun.backoff import constant, exponential
from longrun.testing import Hang, Script

pytestmark = pytest.mark.anyio


class Flaky(Exception):
    """A failure of the test's own."""


async def test_a_call_that_takes_too_long_is_ended_with_our_own_error() -> None:
    """TimeoutExceeded is a TimeoutError that says how long was waited."""
    with pytest.raises(TimeoutExceeded, match="took longer than 3 s") as caught:
        await longrun.do(Script(Hang()), timeout.after(3))

    assert isinstance(caught.value, TimeoutError)
    assert caught.value.seconds == 3


async def test_a_result_in_time_passes() -> None:
    """A limit that is not reached changes nothing."""
    assert await longrun.do(Script(2.9), timeout.after(3)) == 2.9


async def test_the_callees_own_time_out_is_not_ours() -> None:
    """A TimeoutError of the callee passes unchanged."""
    failure = TimeoutError("the callee's")

    with pytest.raises(TimeoutError) as caught:
        await longrun.do(Script(failure), timeout.after(3))

    assert caught.value is failure
    assert not isinstance(caught.value, TimeoutExceeded)


async def test_a_limit_of_the_callee_inside_ours_stays_the_callees() -> None:
    """anyio.fail_after in the callee raises its TimeoutError through ours."""

    async def impatient() -> None:
        with anyio.fail_after(1):
            await anyio.sleep_forever()

    with pytest.raises(TimeoutError) as caught:
        await longrun.do(impatient, timeout.after(3))

    assert not isinstance(caught.value, TimeoutExceeded)


async def test_an_outer_scope_that_ends_first_is_not_turned_into_a_time_out() -> None:
    """move_on_after around the call gets its own cancellation back."""
    with anyio.move_on_after(1) as scope:
        await longrun.do(Script(Hang()), timeout.after(3))

    assert scope.cancelled_caught


async def test_of_two_limits_the_one_that_expired_is_named() -> None:
    """Each limit raises its own error."""
    with pytest.raises(TimeoutExceeded) as inner:
        await longrun.do(Script(Hang()), timeout.after(10), timeout.after(2))

    assert inner.value.seconds == 2


async def test_a_limit_below_the_retry_is_fresh_for_each_attempt() -> None:
    """Two hangs of 2 s each and a success: the third attempt has its 2 s again."""
    work = Script(Hang(), Hang(), 1.9)

    await longrun.do(work, retry.on(TimeoutExceeded, 3, constant(1)), timeout.after(2))

    assert work.started == pytest.approx([work.started[0] + offset for offset in (0, 3, 6)])


async def test_a_limit_above_the_retry_ends_the_whole_call() -> None:
    """It does not count as an attempt, and nothing is retried after it."""
    work = Script(Hang())

    with pytest.raises(TimeoutExceeded) as caught:
        await longrun.do(work, timeout.after(5), retry.on(Exception, None, constant(1)))

    assert caught.value.seconds == 5
    assert work.calls == 1


async def test_the_error_before_the_expiry_is_the_cause_of_it() -> None:
    """The limit expires in the second attempt: what was wrong with the first is not lost."""
    failure = Flaky("the real trouble")

    with pytest.raises(TimeoutExceeded) as caught:
        await longrun.do(Script(failure, Hang()), timeout.after(5), retry.on(Flaky, 3, constant(1)))

    assert caught.value.__cause__ is failure


async def test_a_wait_that_does_not_fit_is_not_begun() -> None:
    """The original error comes out at once instead of a time-out later."""
    failure = Flaky()
    started = anyio.current_time()

    with pytest.raises(Flaky) as caught:
        await longrun.do(Script(failure), timeout.after(10), retry.on(Flaky, 9, exponential(4, 60, jitter=0)))

    last = longrun.timeline(failure)[-1]
    assert caught.value is failure
    assert anyio.current_time() - started == pytest.approx(4)
    assert (last.index, last.stopped_by) == (2, "deadline")
    assert last.reason == "the next attempt is due in 8 s, the deadline in 6 s"


@pytest.mark.parametrize("limit", [anyio.move_on_after, anyio.fail_after])
async def test_any_outer_scope_is_a_deadline(limit: type) -> None:
    """Deadlines of plain anyio scopes are read like our own, through a scope without one."""
    work = Script(Flaky())

    with pytest.raises(Flaky), limit(10), anyio.CancelScope():
        await longrun.do(work, retry.on(Flaky, 9, constant(6)))

    assert work.calls == 2


async def test_a_shielded_call_is_not_hurried_by_what_it_is_shielded_from() -> None:
    """Inside a shield the outer deadline does not count."""
    work = Script(Flaky(), Flaky(), "ok")

    with anyio.move_on_after(10), anyio.CancelScope(shield=True):
        result = await longrun.do(work, retry.on(Flaky, 9, constant(6)))

    assert result == "ok"


async def test_no_attempt_starts_behind_the_deadline() -> None:
    """A callee that overslept the limit in a shield leaves no time for another attempt, not even at once."""
    calls = 0

    async def stubborn() -> None:
        nonlocal calls
        calls += 1
        with anyio.CancelScope(shield=True):
            await anyio.sleep(20)
        raise Flaky

    with pytest.raises(Flaky):
        await longrun.do(stubborn, timeout.after(10), retry.on(Flaky, None, constant(0)))

    assert calls == 1


async def test_the_nearest_of_nested_limits_counts() -> None:
    """A generous inner limit does not hide a tight outer one."""
    work = Script(Flaky())

    with pytest.raises(Flaky), anyio.fail_after(5):
        await longrun.do(work, timeout.after(100), retry.on(Flaky, 9, constant(6)))

    assert work.calls == 1


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), True, "3"])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    """Leave the option out to have no limit."""
    with pytest.raises(ValueError, match=r"timeout\.after is "):
        timeout.after(limit)


@pytest.mark.parametrize("inner", [10, 11])
def test_a_limit_that_can_never_fire_is_refused(inner: float) -> None:
    """The outer limit would always be first."""
    with pytest.raises(PipelineError, match="can never fire"):
        longrun.Pipeline(timeout.after(10), retry.on(Flaky), timeout.after(inner))
