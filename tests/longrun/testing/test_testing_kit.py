"""The testing kit itself: virtual time, scripts, recorded events, no waits."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest

import longrun
from longrun import retry
from longrun.backoff import constant
from longrun.events import AttemptFailed, AttemptStarted, AttemptSucceeded, Event
from longrun.testing import Hang, RecordingListener, Script, ScriptedFailure, VirtualClock, instant, run_virtual
from longrun.testing import clock as kit_clock


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_week_passes_in_no_time(backend: str) -> None:
    """The loop's clock jumps; the computer's does not."""

    async def main() -> float:
        begun = anyio.current_time()
        await anyio.sleep(7 * 86400)
        return anyio.current_time() - begun

    begun = time.perf_counter()
    passed = run_virtual(main, backend=backend)

    assert passed == pytest.approx(7 * 86400)
    assert time.perf_counter() - begun < 5


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sleepers_wake_in_the_order_of_their_instants(backend: str) -> None:
    """Whatever order they went to sleep in."""
    woken: list[float] = []

    async def main() -> None:
        async def sleeper(seconds: float) -> None:
            await anyio.sleep(seconds)
            woken.append(anyio.current_time())

        async with anyio.create_task_group() as tg:
            for seconds in (30, 0.5, 3600, 7, 0.25):
                tg.start_soon(sleeper, seconds)

    run_virtual(main, backend=backend)

    assert [round(at - woken[0], 2) for at in woken] == [0, 0.25, 6.75, 29.75, 3599.75]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_arguments_results_and_errors_pass_through(backend: str) -> None:
    """run_virtual is anyio.run with another clock."""

    async def main(value: int) -> int:
        if value < 0:
            raise ValueError(value)
        return value * 2

    assert run_virtual(main, 21, backend=backend) == 42
    with pytest.raises(ValueError, match="-1"):
        run_virtual(main, -1, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_wall_clock_moves_with_the_loop(backend: str) -> None:
    """From its epoch on."""

    async def main() -> tuple[float, float, float]:
        clock = VirtualClock(epoch=1000.0)
        before, now = clock.wall(), clock.now()
        await anyio.sleep(60)
        return clock.wall() - before, clock.now() - now, before - now

    assert run_virtual(main, backend=backend) == pytest.approx((60, 60, 1000))


def test_a_test_that_waits_for_ever_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left that could wake the loop: an error instead of a hang."""
    monkeypatch.setattr(kit_clock, "DEADLOCK", 0.05)

    async def main() -> None:
        await anyio.Event().wait()

    with pytest.raises(RuntimeError, match="the test waits for ever"):
        run_virtual(main)


def test_a_thread_may_still_wake_the_loop() -> None:
    """Waiting for a thread takes no virtual time, and is no deadlock."""

    async def main() -> float:
        begun = anyio.current_time()
        await longrun.blocking(time.sleep)(0.02)
        return anyio.current_time() - begun

    assert run_virtual(main) == pytest.approx(0)


class TestScript:
    """Scripted work."""

    pytestmark = pytest.mark.anyio

    async def test_it_does_what_each_step_says(self) -> None:
        """Errors and classes of errors are raised, floats slept, everything else returned."""
        work, begun = Script(TimeoutError("late"), KeyError, "fail", 2.5, None, 7), anyio.current_time()

        with pytest.raises(TimeoutError, match="late"):
            await work()
        with pytest.raises(KeyError):
            await work()
        with pytest.raises(ScriptedFailure, match="step 3"):
            await work()
        assert await work() == 2.5
        assert await work() is None
        assert [await work(), await work()] == [7, 7]
        assert work.calls == 7
        assert [at - begun for at in work.started] == pytest.approx([0, 0, 0, 0, 2.5, 2.5, 2.5])

    async def test_a_hang_ends_by_cancellation_only(self) -> None:
        """A limit around it is what ends it."""
        with anyio.move_on_after(5) as scope:
            await Script(Hang())()

        assert scope.cancelled_caught

    def test_a_script_without_steps_is_refused(self) -> None:
        """It could do nothing."""
        with pytest.raises(ValueError, match="at least one step"):
            Script()


class TestRecordingListener:
    """Recorded events."""

    pytestmark = pytest.mark.anyio

    async def test_seen_waits_for_the_event_that_a_test_is_about(self) -> None:
        """By type, count and predicate; what came before counts too."""
        events = RecordingListener()
        found: list[Event] = []

        async def watch(wait: Callable[[], Awaitable[Event]]) -> None:
            found.append(await wait())

        async with anyio.create_task_group() as tg:
            tg.start_soon(watch, lambda: events.seen(AttemptFailed))
            tg.start_soon(watch, lambda: events.seen(AttemptStarted, count=3))
            tg.start_soon(watch, lambda: events.seen(AttemptStarted, where=lambda event: event.attempt == 2))
            await anyio.sleep(1)
            assert found == []
            await longrun.do(
                Script("fail", "fail", "ok"), retry.on(ScriptedFailure, 5, constant(10)), longrun.observe(events)
            )

        assert {event.name for event in found} == {"attempt.failed", "attempt.started"}
        assert len(found) == 3
        assert await events.seen(AttemptSucceeded) == events.events[-1]
        assert len(events.of(AttemptStarted)) == 3


class TestInstant:
    """No waits."""

    pytestmark = pytest.mark.anyio

    async def test_calls_inside_wait_for_nothing(self) -> None:
        """Calls and decisions are the same, the pauses take no time; outside they do again."""
        begun, policy = anyio.current_time(), longrun.Pipeline(retry.on(ScriptedFailure, 3, constant(1000)))
        inside, outside = Script("fail", "fail", "ok"), Script("fail", "ok")

        with instant():
            await policy.do(inside)
        assert (inside.calls, anyio.current_time()) == (3, begun)
        await policy.do(outside)

        assert anyio.current_time() - begun == pytest.approx(1000)

    async def test_it_reaches_no_task_that_was_started_before(self) -> None:
        """It belongs to the context, not to the process."""
        work = Script("fail", "ok")

        async with anyio.create_task_group() as tg:
            tg.start_soon(longrun.do, work, retry.on(ScriptedFailure, 3, constant(50)))
            with instant():
                await longrun.do(Script("fail", "ok"), retry.on(ScriptedFailure, 3, constant(50)))

        assert work.started[1] - work.started[0] == pytest.approx(50)


def test_the_virtual_loop_is_an_ordinary_asyncio_loop() -> None:
    """Code that asks asyncio for its loop finds one, with its own time."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        return loop.time() - anyio.current_time()

    assert run_virtual(main) == 0
