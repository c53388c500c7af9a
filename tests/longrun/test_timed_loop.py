"""A retry with a time limit directly below it: one scope inside, two layers as seen from outside."""

import anyio
import pytest

from longrun import Pipeline, TimeoutExceeded, observe, retry, timeline, timeout
from longrun.backoff import constant
from longrun.events import AttemptCancelled, AttemptFailed
from longrun.option import Call
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio


async def test_each_attempt_has_the_whole_limit() -> None:
    """The wait between two attempts is not charged to either."""
    work = Script(4.0, "ok")
    slow_then_quick = Pipeline(retry.on_result(lambda value: value == 4.0, 1, constant(60)), timeout.after(5))

    start = anyio.current_time()
    answer = await slow_then_quick.do(work)

    assert answer == "ok"
    assert anyio.current_time() - start == pytest.approx(64)


async def test_an_attempt_that_hangs_is_one_failure_and_the_next_one_starts_anew() -> None:
    """Twice over: the scope that expired is not used again."""
    work = Script(Hang(), Hang(), "ok")

    answer = await Pipeline(retry.on(TimeoutError, 2, constant(1)), timeout.after(5)).do(work)

    assert answer == "ok"
    assert [round(moment - work.started[0]) for moment in work.started] == [0, 6, 12]


async def test_the_last_expiry_comes_out_with_its_timeline() -> None:
    """As from two layers: a TimeoutExceeded, and every attempt is told."""
    with pytest.raises(TimeoutExceeded) as caught:
        await Pipeline(retry.on(TimeoutError, 1, constant(1)), timeout.after(5)).do(Script(Hang()))

    assert [attempt.index for attempt in timeline(caught.value)] == [1, 2]
    assert all(isinstance(attempt.error, TimeoutExceeded) for attempt in timeline(caught.value))


async def test_a_failure_at_the_very_instant_of_the_limit_is_that_failure() -> None:
    """Work that answers its cancellation with an error of its own: the error is judged, nothing hangs."""

    async def stubborn() -> str:
        try:
            await anyio.sleep_forever()
        except BaseException as cancelled:
            raise ConnectionError("gave up cleanly") from cancelled
        return "never"

    with pytest.raises(ConnectionError, match="gave up cleanly") as caught:
        await Pipeline(retry.on(ConnectionError, 2, constant(1)), timeout.after(5)).do(stubborn)

    assert len(timeline(caught.value)) == 3


async def test_a_cancellation_from_outside_goes_through_at_once(events: RecordingListener) -> None:
    """In an attempt: no retry, no TimeoutExceeded, one attempt that was cancelled."""
    work = Script(Hang())
    with anyio.move_on_after(2) as scope:
        await Pipeline(observe(events), retry.on(TimeoutError, 5, constant(1)), timeout.after(5)).do(work)

    assert scope.cancelled_caught
    assert work.calls == 1
    assert len(events.of(AttemptCancelled)) == 1
    assert not events.of(AttemptFailed)


async def test_a_cancellation_in_a_wait_makes_no_further_attempt() -> None:
    """The limit is lifted while nothing is tried, so it is the outer scope that ends it."""
    work = Script(ConnectionError("away"))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tg:
            tg.start_soon(Pipeline(retry.on(ConnectionError, 5, constant(60)), timeout.after(5)).do, work)
            await anyio.sleep(10)
            scope.cancel()

    assert work.calls == 1


async def test_a_time_out_of_the_callee_is_not_ours() -> None:
    """The callee's own TimeoutError stays what it is."""
    own = TimeoutError("the callee's")

    with pytest.raises(TimeoutError) as caught:
        await Pipeline(retry.on(ConnectionError, 1), timeout.after(5)).do(Script(own))

    assert caught.value is own


async def test_an_option_between_them_keeps_them_apart() -> None:
    """Only a limit directly below the retry shares its scope; the order of the layers stays what was written."""
    order: list[str] = []

    async def between(call: Call[str]) -> str:
        order.append("between")
        return await call()

    policy = Pipeline(retry.on(TimeoutError, 1, constant(1)), between, timeout.after(5))
    answer = await policy.do(Script(Hang(), "ok"))

    assert answer == "ok"
    assert order == ["between", "between"]
