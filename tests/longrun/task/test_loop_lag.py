"""A blocked event loop, in virtual time: it makes others late, and that is counted; nobody is ended for it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

import longrun
from longrun import Baseline, Critic, Decision, Outcome, Policy, Run, RunInfo, Runner, Task, retry
from longrun.backoff import constant
from longrun.events import AttemptFailed, LoopBlocked, RunStalled, TicksSkipped
from longrun.testing import Hang, RecordingListener, Script, block

pytestmark = pytest.mark.anyio

Going = Callable[..., AbstractAsyncContextManager[Runner]]
RunFor = Callable[..., Awaitable[Outcome]]

NODE_3 = Baseline(node=Policy(constant(3)), service=Policy(constant(3)))


def blocks(at: float, seconds: float) -> Task:
    """Somebody else computes for so long, once."""

    async def work() -> None:
        block(seconds)

    return Task.once("blocks", work, delay=at)


async def in_steps(count: int, seconds: float) -> None:
    for _step in range(count):
        await anyio.sleep(seconds)


@pytest.mark.parametrize("length", [2.0, 20.0, 500.0])
async def test_a_timeout_is_not_held_against_a_run_for_a_blocked_loop(
    length: float, run_for: RunFor, events: RecordingListener
) -> None:
    """8 s of work, 10 s for it: shorter than what is left, longer than that, much longer."""
    task = Task.every("poll", 1000, lambda: in_steps(20, 0.4), timeout=10)

    await run_for(900, task, blocks(3, length), listeners=[events], baseline=NODE_3)

    assert events.of(AttemptFailed) == []


@pytest.mark.parametrize("length", [2.0, 20.0, 500.0])
async def test_a_run_that_hangs_is_ended_when_it_has_had_its_time(
    length: float, run_for: RunFor, events: RecordingListener
) -> None:
    """Ten seconds of a loop that moves: 3 before the block and 7 behind it."""
    work, begun = Script(Hang(), "ok"), anyio.current_time()

    await run_for(
        900, Task.every("poll", 1000, work, timeout=10), blocks(3, length), listeners=[events], baseline=NODE_3
    )

    assert work.started[1] - begun == pytest.approx(10 + length + 3, abs=0.03)
    assert len(events.of(AttemptFailed)) == 1


async def test_no_critic_fires_for_a_blocked_loop(run_for: RunFor, events: RecordingListener) -> None:
    """Neither for what is expected, nor for silence, nor at the backstop; afterwards it counts on where it was."""
    told: list[RunInfo] = []

    async def escalator(info: RunInfo) -> Decision | None:
        told.append(info)
        return None

    work, silent, begun = Script(Hang(), "ok"), Script(Hang(), "ok"), anyio.current_time()
    late = Critic(escalator, expected=10, tick=100)
    idle = Critic(escalator, expected=100, idle=10, tick=1000, backstop=1.2)

    await run_for(
        300, Task.every("late", 1000, work, stall=late), Task.every("silent", 1000, silent, stall=idle), blocks(4, 60),
        listeners=[events], baseline=NODE_3,
    )  # fmt: skip

    assert {event.subject: round(event.elapsed) for event in events.of(RunStalled)} == {"late": 10, "silent": 10}
    assert [round(info.idle_for) for info in told] == [10, 10]
    assert work.started[1] - begun == pytest.approx(60 + 20 + 3, abs=0.03)
    assert silent.started[1] - begun == pytest.approx(60 + 120 + 3, abs=0.03)


async def test_the_deadline_that_a_run_sees_moves_with_the_block(run_for: RunFor) -> None:
    """A call inside may wait as long as if nothing had happened."""
    seen: list[float] = []
    inner = Script(ConnectionError(), "ok")

    async def work(run: Run) -> None:
        await anyio.sleep(5)
        seen.append(round(run.deadline - anyio.current_time()))
        await longrun.do(inner, retry.on(ConnectionError, 1, constant(4)))

    await run_for(100, Task.once("job", work, timeout=10), blocks(2, 30))

    assert seen == [8]  # 2 s before the block, and the sleep was over when it ended
    assert inner.calls == 2


async def test_a_run_that_begins_behind_the_block_gets_no_more_than_its_time(going: Going) -> None:
    """Nothing was taken from it."""
    work, begun = Script(Hang(), "ok"), anyio.current_time()

    async with going(Task.every("poll", 1000, work, delay=5, timeout=10), blocks(2, 30), baseline=NODE_3):
        await anyio.sleep(100)

    assert [round(at - begun) for at in work.started] == [32, 45]


async def test_what_was_late_and_what_was_lost_is_counted_with_its_reason(
    going: Going, events: RecordingListener
) -> None:
    """30 s stood still, in two blocks; points of the grid that fell into them are skipped, not silently."""
    work, begun = Script("ok"), anyio.current_time()

    async with going(
        Task.every("poll", 5, work), blocks(2, 20), Task.once("again", Script("ok"), delay=38), listeners=[events]
    ) as runner:
        await anyio.sleep(30)
        block(10)
        await anyio.sleep(10)
        counts, state = runner.statistics(), runner.state()["poll"]

    reason = "the run before started late: every slot was taken, its gate was closed, or the event loop was blocked"
    assert [round(at - begun) for at in work.started] == [0, 22, 25, 40, 45, 50][: len(work.started)]
    assert (counts.blocks, round(counts.blocked)) == (2, 30)
    assert counts.skipped == {reason: state.skipped}
    assert [(event.count, event.reason) for event in events.of(TicksSkipped)][:1] == [(3, reason)]
    assert counts.latest == pytest.approx(17, abs=0.02)
    assert events.of(LoopBlocked) == []


async def test_points_that_fall_into_a_block_during_a_run_are_counted_too(
    going: Going, events: RecordingListener
) -> None:
    """The run in flight was blocked, like all."""
    async with going(
        Task.every("poll", 5, lambda: in_steps(4, 1.0)), blocks(2, 20), listeners=[events], baseline=NODE_3
    ) as runner:
        await anyio.sleep(29)
        state = runner.state()["poll"]

    assert sum(event.count for event in events.of(TicksSkipped)) == state.skipped == 4
    assert state.failures == 0


async def test_a_moment_is_no_block(going: Going) -> None:
    """A tenth of a second is what busy loops take now and then."""
    async with going(Task.every("poll", 5, Script("ok"))) as runner:
        for _moment in range(20):
            await anyio.sleep(1)
            block(0.05)
        await anyio.sleep(1)
        counts = runner.statistics()

    assert (counts.blocks, counts.blocked) == (0, 0)


async def test_waits_between_attempts_pass_during_a_block(going: Going) -> None:
    """They hold nothing that could be blocked."""
    work, begun = Script(ConnectionError(), "ok"), anyio.current_time()

    async with going(Task.once("job", work), blocks(1, 50), baseline=NODE_3):
        await anyio.sleep(100)

    assert [round(at - begun) for at in work.started] == [0, 51]


async def test_what_a_run_has_blocked_itself_is_not_held_against_it_either(
    run_for: RunFor, events: RecordingListener
) -> None:
    """It could be ended only when the loop moves again, and then it is through."""

    async def computes() -> None:
        block(50)
        await anyio.sleep(5)

    await run_for(100, Task.once("job", computes, timeout=10), listeners=[events], baseline=NODE_3)

    assert events.of(AttemptFailed) == []
