"""Shutdown hooks: last added first, each with its own slice of the time, none able to harm the others."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from longrun import Runner, Task, TimeoutExceeded
from longrun.events import HookFailed, ShutdownStuck
from longrun.testing import Hang, RecordingListener, Script

pytestmark = pytest.mark.anyio

Hook = Callable[[], Awaitable[object]]


def with_hooks(runner: Runner, **hooks: Hook) -> Runner:
    """One finished task for each hook."""
    for name, hook in hooks.items():
        runner.add(Task.once(name, Script("ok"), shutdown=hook))
    return runner


async def test_the_last_added_is_closed_first() -> None:
    """a, b, c are closed c, b, a."""
    order: list[str] = []

    def hook(name: str) -> Hook:
        async def close() -> None:
            order.append(name)

        return close

    outcome = await with_hooks(Runner(), a=hook("a"), b=hook("b"), c=hook("c")).run()

    assert order == ["c", "b", "a"]
    assert outcome.status == "finished"


async def test_hooks_run_after_every_task_has_stopped() -> None:
    """Also those of tasks that ended long before."""
    ended: list[str] = []

    async def slow() -> None:
        await anyio.sleep(50)
        ended.append("slow")

    async def close() -> None:
        ended.append("hook")

    runner = Runner()
    runner.add(Task.once("quick", Script("ok"), shutdown=close))
    runner.add(Task.once("slow", slow))

    await runner.run()

    assert ended == ["slow", "hook"]


async def test_a_hook_that_raises_is_reported_and_the_others_run(events: RecordingListener) -> None:
    """Its error is in the outcome, and is no failure of the work."""
    failure, other = OSError("disk full"), Script("ok")

    outcome = await with_hooks(Runner(listeners=[events]), a=other, b=Script(failure)).run()

    assert [(found.task, found.error) for found in outcome.hook_failures] == [("b", failure)]
    assert other.calls == 1
    assert outcome.status == "finished"
    assert [event.subject for event in events.of(HookFailed)] == ["b"]


async def test_a_hook_that_eats_its_slice_leaves_the_others_theirs() -> None:
    """Three hooks share 30 s; the one that hangs is cancelled after ten."""
    runner, begun = Runner(shutdown_timeout=30), anyio.current_time()
    first, last = Script("ok"), Script(9.0)

    outcome = await with_hooks(runner, last=last, hangs=Script(Hang()), first=first).run()

    found = outcome.hook_failures[0]
    assert len(outcome.hook_failures) == 1
    assert found.task == "hangs"
    assert isinstance(found.error, TimeoutExceeded)
    assert str(found.error) == "the shutdown hook of 'hangs' took longer than 15 s"
    assert first.calls == last.calls == 1
    assert anyio.current_time() - begun == pytest.approx(15 + 9)


async def test_a_hook_that_ignores_its_cancellation_is_left_behind_and_named(events: RecordingListener) -> None:
    """After the grace the others run; run() stays pending for it and says so."""
    others: list[float] = []
    begun = anyio.current_time()

    async def deaf() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(300)

    async def other() -> None:
        others.append(anyio.current_time() - begun)

    outcome = await with_hooks(Runner(shutdown_timeout=30, listeners=[events]), other=other, deaf=deaf).run()

    assert others == pytest.approx([15 + 3])
    assert [found.task for found in outcome.hook_failures] == ["deaf"]
    assert [event.tasks for event in events.of(ShutdownStuck)] == [("deaf",)]
    assert anyio.current_time() - begun == pytest.approx(300)


async def test_hooks_run_after_a_crash_of_the_work() -> None:
    """A failure closes like a success."""
    closed, runner = Script("ok"), Runner()
    runner.add(Task.once("broken", Script(ValueError()), shutdown=closed))

    outcome = await runner.run()

    assert outcome.status == "failed"
    assert closed.calls == 1


async def test_a_failure_of_the_work_is_not_lost_when_run_is_cancelled_in_its_hooks() -> None:
    """The hooks still get their time; the failure stays in the state."""
    runner, closed = Runner(), Script(5.0)
    runner.add(Task.once("broken", Script(ValueError("real")), shutdown=closed))
    begun = anyio.current_time()

    with anyio.move_on_after(2) as scope:
        await runner.run()

    assert scope.cancelled_caught
    assert anyio.current_time() - begun == pytest.approx(5)
    assert str(runner.state()["broken"].last_error) == "real"
