"""Cancellation of a call: never retried, never judged, never turned into something else."""

import anyio
import pytest

import longrun
from longrun import retry, timeout
from longrun.backoff import constant
from longrun.events import AttemptFailed, AttemptStarted, GaveUp, RetryScheduled
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio


class Flaky(Exception):
    """A failure of the test's own."""


async def test_cancelling_an_attempt_leaves_no_further_call(events: RecordingListener) -> None:
    """The scope ends when it says so; nothing was a failure."""
    work = Script(Hang())
    started = anyio.current_time()

    with anyio.move_on_after(3) as scope:
        await longrun.do(work, retry.on(Exception, None, constant(0)), longrun.observe(events))

    assert scope.cancelled_caught
    assert work.calls == 1
    assert anyio.current_time() - started == pytest.approx(3)
    assert not events.of(AttemptFailed)
    assert not events.of(GaveUp)


async def test_cancelling_a_wait_leaves_no_further_call() -> None:
    """Cancelled between two attempts, the call returns at that very instant."""
    work = Script(Flaky())
    left_at: list[float] = []

    async def call() -> None:
        try:
            await longrun.do(work, retry.on(Flaky, None, constant(60)))
        finally:
            left_at.append(anyio.current_time())

    started = anyio.current_time()
    async with anyio.create_task_group() as tg:
        tg.start_soon(call)
        await anyio.sleep(10)
        tg.cancel_scope.cancel()

    assert work.calls == 1
    assert left_at == pytest.approx([started + 10])


async def test_who_cancels_a_wait_learns_what_was_going_wrong() -> None:
    """The failure that was waited for is the cause of the cancellation."""
    failure = Flaky()
    causes: list[BaseException | None] = []

    async def call() -> None:
        try:
            await longrun.do(Script(failure), retry.on(Flaky, None, constant(60)))
        except anyio.get_cancelled_exc_class() as cancelled:
            causes.append(cancelled.__cause__)
            raise

    async with anyio.create_task_group() as tg:
        tg.start_soon(call)
        await anyio.sleep(10)
        tg.cancel_scope.cancel()

    assert causes == [failure]


async def test_a_call_in_a_cancelled_scope_does_not_get_past_its_first_wait() -> None:
    """A pre-cancelled caller gets its cancellation, not a time-out and not a result."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await longrun.do(Script(1.0), timeout.after(5), retry.on(Exception, None, constant(1)))

    assert scope.cancelled_caught


async def test_a_cancelled_call_charges_nothing_to_the_next() -> None:
    """The pipeline is as good as new: the next call has every retry."""
    policy = longrun.Pipeline(retry.on(Flaky, 2, constant(10)))
    cut_off, whole = Script(Flaky()), Script(Flaky(), Flaky(), "ok")

    async with anyio.create_task_group() as tg:
        tg.start_soon(policy.do, cut_off)
        await anyio.sleep(15)
        tg.cancel_scope.cancel()
    result = await policy.do(whole)

    assert cut_off.calls == 2
    assert result == "ok"
    assert whole.calls == 3


async def test_a_callee_that_turns_cancellation_into_an_error_is_not_retried_into_it() -> None:
    """The error comes out, the deadline has passed, no further attempt is made."""
    calls = 0

    async def converts() -> None:
        nonlocal calls
        calls += 1
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            raise Flaky from None

    with pytest.raises(Flaky), anyio.move_on_after(3):
        await longrun.do(converts, retry.on(Flaky, None, constant(0)))

    assert calls == 1


async def test_every_attempt_that_starts_also_ends(events: RecordingListener) -> None:
    """A cancelled attempt is told as such: what counts starts and ends comes out even."""
    with anyio.move_on_after(12):
        await longrun.do(Script(Flaky(), Hang()), retry.on(Flaky, None, constant(5)), longrun.observe(events))

    names = [event.name for event in events.events]
    assert names == [
        "attempt.started", "attempt.failed", "retry.scheduled", "attempt.started", "attempt.cancelled",
    ]  # fmt: skip
    assert len(events.of(AttemptStarted)) == 2
    assert len(events.of(RetryScheduled)) == 1


async def test_a_group_with_a_cancellation_in_it_is_not_retried() -> None:
    """A BaseExceptionGroup is no failure of the callee's."""
    work = Script(BaseExceptionGroup("g", [Flaky(), SystemExit(3)]), "ok")

    with pytest.raises(BaseExceptionGroup):
        await longrun.do(work, retry.on(Exception, 5, constant(0)), retry.on(ExceptionGroup, 5, constant(0)))

    assert work.calls == 1
