"""The watchdog in real time: where the event loop stands is said while it stands, once, and by nobody else's fault."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from longrun import Runner, Task
from longrun.events import AttemptFailed, LoopBlocked
from longrun.testing import RecordingListener, Script, run_virtual

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def compute(seconds: float) -> None:
    """A long computation, on the event loop's own thread."""
    time.sleep(seconds)


@pytest.fixture(autouse=True)
def real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process have asked for virtual time."""
    monkeypatch.setattr("longrun.clock._follow_the_loop", False)


def watchdogs() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "longrun watchdog"]


@BACKENDS
def test_a_blocked_loop_is_reported_while_it_stands_and_once(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """The record comes from the thread during the block, the event when the loop moves again; both name the function.

    A second block is a second report, and the thread ends with the runner.
    """
    events, logged_before_the_end, alive = RecordingListener(), [], []

    async def blocks() -> None:
        alive.append(len(watchdogs()))
        compute(0.15)
        logged_before_the_end.append(sum("in compute" in record.getMessage() for record in caplog.records))

    async def main() -> Any:
        runner = Runner(watchdog=0.05, listeners=[events])
        runner.add(Task.once("first", blocks))
        runner.add(Task.once("second", blocks, delay=0.2))
        await runner.run()
        return runner.statistics()

    with caplog.at_level(logging.ERROR, logger="longrun.watchdog"):
        counts = anyio.run(main, backend=backend)

    told = [event for event in events.of(LoopBlocked) if "in compute" in event.stack]  # a busy machine may add others
    assert logged_before_the_end == [1, 2]
    assert alive == [1, 1]
    assert [event.subject for event in told] == ["runner", "runner"]
    assert all(0.1 < event.seconds < 0.5 for event in told)
    assert all("in blocks" in event.stack for event in told)
    assert counts.blocks >= 2
    assert 0.2 < counts.blocked < 1
    gone(watchdogs)


@pytest.mark.parametrize(
    ("backend", "watchdog", "limit", "length"),
    [("asyncio", 0.1, 0.15, 0.2), ("trio", 0.1, 0.15, 0.2), ("asyncio", None, 0.4, 0.6)],
)
def test_a_blocked_loop_is_not_held_against_those_who_waited(
    backend: str, watchdog: float | None, limit: float, length: float
) -> None:
    """30 ms of work, time enough for it, and somebody else's computation in between; with a thread and without one."""
    events = RecordingListener()

    async def modest() -> None:
        for _step in range(6):
            await anyio.sleep(0.005)

    async def blocks() -> None:
        compute(length)

    async def main() -> None:
        runner = Runner(watchdog=watchdog, listeners=[events])
        runner.add(Task.once("modest", modest, timeout=limit))
        runner.add(Task.once("blocks", blocks, delay=0.01))
        await runner.run()

    anyio.run(main, backend=backend)

    assert events.of(AttemptFailed) == []


@BACKENDS
def test_in_a_loop_that_is_always_late_limits_come_all_the_same(backend: str) -> None:
    """Whoever hangs has had turns between the blocks."""
    events = RecordingListener()

    async def hangs() -> None:
        await anyio.sleep_forever()

    async def main() -> None:
        runner = Runner(watchdog=0.04, listeners=[events])

        async def always_late() -> None:
            while not events.of(AttemptFailed):
                compute(0.12)
                await anyio.sleep(0.02)

        runner.add(Task.once("hangs", hangs, timeout=0.06))
        runner.add(Task.once("late", always_late))
        with anyio.fail_after(5):
            await runner.run()

    anyio.run(main, backend=backend)

    assert len(events.of(AttemptFailed)) == 1


@BACKENDS
def test_slow_shutdown_hooks_are_no_blocked_loop(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """The loop moves; only the dispatcher has nothing left to do."""

    async def close() -> None:
        await anyio.sleep(0.5)

    async def main() -> None:
        runner = Runner(watchdog=0.2)
        runner.add(Task.once("job", Script("ok"), shutdown=close))
        await runner.run()

    with caplog.at_level(logging.ERROR, logger="longrun.watchdog"):
        anyio.run(main, backend=backend)

    assert caplog.records == []
    gone(watchdogs)


@BACKENDS
def test_the_thread_ends_also_when_the_runner_breaks_off(backend: str) -> None:
    """By an exit that is no failure."""

    async def main() -> None:
        runner = Runner(watchdog=0.05)
        runner.add(Task.once("exits", Script(GeneratorExit())))
        await runner.run()

    with pytest.raises((GeneratorExit, BaseExceptionGroup)):
        anyio.run(main, backend=backend)

    gone(watchdogs)


def test_without_a_watchdog_and_in_virtual_time_there_is_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can block a clock that only moves while everybody waits."""
    seen: list[int] = []

    async def work() -> None:
        seen.append(len(watchdogs()))

    async def main(watchdog: float | None) -> None:
        runner = Runner(watchdog=watchdog)
        runner.add(Task.once("job", work))
        await runner.run()

    anyio.run(main, None)
    run_virtual(main, 0.05)

    assert seen == [0, 0]


@pytest.mark.parametrize("watchdog", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_makes_no_sense_is_refused(watchdog: float) -> None:
    """By name and value."""
    with pytest.raises(ValueError, match="Runner watchdog is"):
        Runner(watchdog=watchdog)


def gone(threads: Callable[[], list[threading.Thread]]) -> None:
    """They end by themselves, in the time of one look."""
    for thread in threads():
        thread.join(2)
    assert threads() == []
