"""The main ways of use on asyncio, uvloop and trio in real time; what they mean in detail is tested in virtual time."""

import asyncio
import sys
from collections import Counter
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from longrun import Critic, Decision, Kill, Limit, Pipeline, Run, RunInfo, Runner, Task, hedge, retry, timeout
from longrun.backoff import constant
from longrun.events import AttemptFailed, LoopBlocked
from longrun.testing import RecordingListener
from tests.loops import LOOPS

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="uvloop is not made for it"),
]


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """In real time."""
    return request.param


@pytest.fixture(autouse=True)
def real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process have asked for virtual time."""
    monkeypatch.setattr("longrun.clock._follow_the_loop", False)


async def ended(runner: Runner) -> None:
    """The runner, which is stopped by its own tasks, has come to its end in time."""
    with anyio.fail_after(20):
        await runner.run()


async def test_the_loop_is_the_one_that_was_asked_for(anyio_backend_name: str, anyio_backend_options: Any) -> None:
    """Else the rest of this file would prove nothing."""
    if anyio_backend_name == "asyncio":
        made_by = type(asyncio.get_running_loop()).__module__
        assert made_by.startswith("uvloop" if anyio_backend_options.get("use_uvloop") else "asyncio")


async def test_a_pipeline_retries_times_out_and_hedges() -> None:
    """The third attempt of the call has the answer; the lane that hangs is left."""
    calls = 0

    async def call() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError
        if calls == 2:
            await anyio.sleep_forever()
        return "answer"

    async def first_hangs() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            await anyio.sleep_forever()
        return "hedged"

    with anyio.fail_after(20):
        again = retry.on((ConnectionError, TimeoutError), 3, constant(0.001))
        assert await Pipeline(again, timeout.after(0.05)).do(call) == "answer"
        assert calls == 3
        calls = 0
        assert await Pipeline(hedge.after(0.01)).do(first_hangs) == "hedged"
        assert calls == 2


async def test_tasks_come_up_on_their_grid_fail_and_are_tried_again() -> None:
    """A quick one and one that fails twice each time."""
    counts: Counter[str] = Counter()

    async def quick() -> None:
        counts["quick"] += 1

    async def fails(run: Run) -> None:
        counts["attempts"] += 1
        if run.attempt < 3:
            raise ConnectionError
        counts["successes"] += 1
        if counts["successes"] == 3:
            runner.stop("seen enough")

    runner = Runner()
    runner.add(Task.every("quick", 0.02, quick))
    runner.add(Task.every("fails", 0.05, fails, [retry.on(ConnectionError, backoff=constant(0.001))]))
    await ended(runner)

    assert counts["attempts"] == 9
    assert counts["quick"] >= 3


async def test_a_time_limit_a_critic_and_an_operator_end_runs() -> None:
    """Each of three runs that hang is ended by what watches it, and told with the reason."""
    events = RecordingListener()

    async def hangs() -> None:
        await anyio.sleep_forever()

    async def judges(_: RunInfo) -> Decision:
        return Kill("too long")

    async def ends_them() -> None:
        if "operated" in {each.subject for each in events.of(AttemptFailed)}:
            if len({each.subject for each in events.of(AttemptFailed)}) == 3:
                runner.stop("seen enough")
        else:
            runner.kill("operated", "by hand")

    runner = Runner(listeners=[events], on_permanent="isolate")
    runner.add(Task.once("limited", hangs, timeout=0.02))
    runner.add(Task.once("watched", hangs, stall=Critic(judges, expected=0.02, backstop=500)))
    runner.add(Task.once("operated", hangs))
    runner.add(Task.every("operator", 0.02, ends_them, delay=0.01))
    await ended(runner)

    told = {each.subject: str(each.error) for each in events.of(AttemptFailed)}
    assert set(told) == {"limited", "watched", "operated"}
    assert "0.02" in told["limited"]
    assert "too long" in told["watched"]
    assert "by hand" in told["operated"]


async def test_a_herd_keeps_within_slots_and_limits() -> None:
    """Three hundred tasks at one instant, ten slots, a limit of four for every other one."""
    limit = Limit("upstream", 4)
    inside: Counter[str] = Counter()
    most: Counter[str] = Counter()
    done: set[str] = set()

    async def work(run: Run) -> None:
        for group in ("all", run.task.split("-")[0]):
            inside[group] += 1
            most[group] = max(most[group], inside[group])
        await anyio.lowlevel.checkpoint()
        for group in ("all", run.task.split("-")[0]):
            inside[group] -= 1
        done.add(run.task)

    runner = Runner(max_running=10)
    for number in range(150):
        runner.add(Task.once(f"free-{number}", work))
        runner.add(Task.once(f"limited-{number}", work, limits=[limit]))
    await ended(runner)

    assert len(done) == 300
    assert most["all"] == 10
    assert most["limited"] == 4
    assert limit.used == 0


async def test_a_stop_lets_runs_end_and_cancels_those_that_do_not() -> None:
    """Down the ladder, with the hooks behind it."""
    seen: list[str] = []

    async def ends(run: Run) -> None:
        seen.append("begun")
        if len(seen) == 2:
            runner.stop("the test is over", drain=0.1)
        while not run.stopping:
            await anyio.lowlevel.checkpoint()
        seen.append("drained")

    async def hangs() -> None:
        seen.append("begun")
        if len(seen) == 2:
            runner.stop("the test is over", drain=0.1)
        try:
            await anyio.sleep_forever()
        finally:
            seen.append("cancelled")

    async def hook() -> None:
        seen.append("hook")

    runner = Runner()
    runner.add(Task.once("ends", ends, shutdown=hook))
    runner.add(Task.once("hangs", hangs))
    await ended(runner)

    assert seen == ["begun", "begun", "drained", "cancelled", "hook"]


async def test_a_block_of_the_loop_is_told_with_its_stack() -> None:
    """The thread of the watchdog sees where the loop stands."""
    events = RecordingListener()

    async def blocks() -> None:
        deadline = anyio.current_time() + 5
        while not events.of(LoopBlocked) and anyio.current_time() < deadline:
            compute(runner)
            await anyio.lowlevel.checkpoint()

    runner = Runner(watchdog=0.05, listeners=[events])
    runner.add(Task.once("blocks", blocks))
    await ended(runner)

    assert "in compute" in events.of(LoopBlocked)[0].stack


def compute(_: Runner) -> None:
    """A computation on the event loop's own thread."""
    import time

    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass
