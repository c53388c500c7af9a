"""What a runner remembers over a restart: attempts and checkpoints."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import anyio
import pytest

from longrun import Baseline, Policy, Run, Runner, RunnerError, Task, retry
from longrun.attempts import Attempts, AttemptStoreFailed, MemoryAttempts, SqliteAttempts, prefix
from longrun.backoff import constant, exponential
from longrun.checkpoint import MemoryCheckpoints, Saved, SqliteCheckpoints
from longrun.task.outcome import Outcome
from longrun.testing import RecordingListener, Script, VirtualClock

pytestmark = pytest.mark.anyio

BASELINE = Baseline(node=Policy(exponential(10, 1000, jitter=0)))


async def live(seconds: float, store: MemoryAttempts, *tasks: Task, **settings: object) -> Outcome:
    """One life of a service: a runner over *store* that is stopped after so many seconds."""
    runner = Runner(baseline=BASELINE, attempts=store, clock=VirtualClock(), **settings)  # type: ignore[arg-type]  # any
    for task in tasks:
        runner.add(task)
    async with anyio.create_task_group() as tg:

        async def stop() -> None:
            await anyio.sleep(seconds)
            runner.stop("restart", drain=0)

        tg.start_soon(stop)
        outcome = await runner.run()
        tg.cancel_scope.cancel()
    return outcome


def store() -> MemoryAttempts:
    return MemoryAttempts(wall=VirtualClock().wall)


async def test_a_restart_goes_on_with_the_wait_and_the_curve() -> None:
    """Failures at 0, 10 and 30; the restart at 40 waits for 70, and the wait after that is the fourth."""
    kept, before, after = store(), Script(ConnectionError()), Script(ConnectionError())
    await live(40, kept, Task.every("poll", 5, before))

    await live(120, kept, Task.every("poll", 5, after))

    assert before.started == pytest.approx([0, 10, 30], abs=0.02)
    assert after.started == pytest.approx([70, 150], abs=0.02)


async def test_a_success_forgets_the_failures_at_once() -> None:
    """The next life begins with a full budget and no wait."""
    kept, recovers, after = store(), Script(ConnectionError(), "ok"), Script("ok")
    await live(12, kept, Task.every("poll", 5, recovers))

    assert await kept.load(prefix("tasks")) == {}
    await live(3, kept, Task.every("poll", 5, after))
    assert after.started == pytest.approx([12])


async def test_a_budget_that_was_spent_is_no_death_sentence() -> None:
    """A task that had failed for good tries again after the restart: with one retry, at its old place."""
    kept = store()
    rule = retry.on(ConnectionError, 2, constant(10))
    dying, after = Script(ConnectionError()), Script(ConnectionError(), "ok")
    first = await live(100, kept, Task.every("poll", 5, dying, rule))

    second = await live(14, kept, Task.every("poll", 5, after, rule))

    assert (first.status, dying.calls) == ("failed", 3)
    assert (second.status, after.calls) == ("stopped", 2)


async def test_two_rules_of_one_text_have_budgets_of_their_own() -> None:
    """They are told apart by their place."""
    kept = store()
    rules = [retry.on(ConnectionError, 5, constant(10), name="same"), retry.on(OSError, 5, constant(10), name="same")]
    await live(
        5, kept, Task.every("poll", 5, Script(ConnectionError()), rules), Task.every("b", 5, Script("ok"), rules)
    )

    found = await kept.load(prefix("tasks"))

    assert [(key, kept.count, kept.last_wait) for key, kept in found.items()] == [("tasks/poll/0:same", 1, 10.0)]


async def test_a_removed_task_leaves_nothing_behind() -> None:
    """Neither in the runner nor in the store."""
    kept = store()
    runner = Runner(baseline=BASELINE, attempts=kept, clock=VirtualClock(), keep_open=True)
    runner.add(Task.every("poll", 5, Script(ConnectionError())))
    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        await anyio.sleep(5)
        assert await kept.load(prefix("tasks"))
        runner.remove("poll")
        await anyio.sleep(1)
        runner.stop("enough")

    assert await kept.load(prefix("tasks")) == {}


class Broken(MemoryAttempts):
    """A store that is down, or hangs for ever."""

    def __init__(self, behave: Callable[[], object]) -> None:
        super().__init__()
        self._behave = behave

    async def increment(self, key: str, *, wait: float, not_before: float, by: int = 1) -> int:
        raise OSError("the disk is gone")

    async def load(self, prefix: str) -> dict[str, Attempts]:
        if self._behave() == "hang":
            await anyio.sleep_forever()
        raise OSError("the disk is gone")


@pytest.mark.parametrize("how", ["hang", "raise"])
async def test_a_store_that_fails_or_hangs_fails_no_run(how: str, events: RecordingListener) -> None:
    """Memory takes over, and that is told once."""
    work = Script(ConnectionError(), ConnectionError(), "ok")

    outcome = await live(100, Broken(lambda: how), Task.every("poll", 50, work), listeners=[events])

    assert outcome.status == "stopped"
    assert work.calls >= 4
    assert len(events.of(AttemptStoreFailed)) == 1


async def test_work_finds_its_checkpoint_in_the_next_life() -> None:
    """What was throttled is written when the attempt ends, however it ends."""
    seen: list[object] = []
    kept = MemoryCheckpoints()

    async def poll(run: Run) -> None:
        seen.append(await run.checkpoint.load())
        assert await run.checkpoint.save({"page": len(seen)}) is Saved.PERSISTED
        assert await run.checkpoint.save({"page": len(seen) + 0.5}) is Saved.THROTTLED
        raise ConnectionError

    for _ in range(2):
        await live(1, store(), Task.every("poll", 5, poll), checkpoints=kept)

    assert seen == [None, {"page": 1.5}]


async def test_a_checkpoint_without_a_store_is_one_clear_error() -> None:
    """It names the task and what to do."""
    run = Run("poll", "1")

    with pytest.raises(RunnerError, match=r"task 'poll' asks for its checkpoint.*Runner\(checkpoints="):
        run.checkpoint.pending  # noqa: B018 - the property raises


def test_files_hold_both_over_real_lives(tmp_path: Path) -> None:
    """Two event loops one after the other on one file, in real time: attempts and checkpoint are there again."""
    path = tmp_path / "state.db"
    seen: list[tuple[int, object]] = []

    async def life() -> None:
        async with SqliteAttempts(path) as attempts, SqliteCheckpoints(path) as checkpoints:
            runner = Runner(
                baseline=Baseline(node=Policy(constant(0.2))),
                attempts=attempts,
                checkpoints=checkpoints,
                rng=Random(1),
            )

            async def poll(run: Run) -> None:
                seen.append((run.attempt, await run.checkpoint.load()))
                await run.checkpoint.save(len(seen))
                runner.stop("enough")
                raise ConnectionError

            runner.add(Task.every("poll", 60, poll))
            with anyio.fail_after(10):
                await runner.run()

    for backend in ("asyncio", "trio"):
        anyio.run(life, backend=backend)

    assert seen == [(1, None), (1, 1)]
