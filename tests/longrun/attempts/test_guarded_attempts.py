"""A guarded store: it raises nothing, says so once, and makes good what was missed."""

import logging
import sqlite3
from collections.abc import Mapping

import anyio
import pytest

from longrun import backoff
from longrun.attempts import (
    Attempts,
    AttemptStoreFailed,
    AttemptStoreRecovered,
    GuardedAttempts,
    MemoryAttempts,
    SqliteAttempts,
    join,
    prefix,
)
from longrun.errors import TimeoutExceeded

pytestmark = pytest.mark.anyio

TIMEOUT = join("acme", "poll", "timeout")
REFUSED = join("acme", "poll", "refused")
TASK = prefix("acme", "poll")


def wall() -> float:
    """A wall clock that stands."""
    return 1000.0


class Store(MemoryAttempts):
    """Memory that fails or hangs when it is told to."""

    def __init__(self) -> None:
        super().__init__(wall=wall)
        self.error: Exception | None = None
        self.hangs = False
        self.takes = 0.0
        self.asked = 0

    async def obey(self) -> None:
        self.asked += 1
        if self.hangs:
            await anyio.sleep_forever()
        await anyio.sleep(self.takes)
        if self.error is not None:
            raise self.error

    async def increment(self, key: str, *, wait: float, not_before: float, by: int = 1) -> int:
        await self.obey()
        return await super().increment(key, wait=wait, not_before=not_before, by=by)

    async def get(self, key: str) -> Attempts | None:
        await self.obey()
        return await super().get(key)

    async def load(self, prefix: str) -> Mapping[str, Attempts]:
        await self.obey()
        return await super().load(prefix)

    async def reset(self, prefix: str) -> None:
        await self.obey()
        await super().reset(prefix)

    async def counts(self) -> dict[str, int]:
        """What it holds, whatever it was told."""
        return {key: kept.count for key, kept in (await MemoryAttempts.load(self, "acme/")).items()}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def guarded(store, events) -> GuardedAttempts:
    """Asks again after 2, 4, 8, ... seconds."""
    return GuardedAttempts(
        store, backoff=backoff.exponential(2, 60, jitter=0), listeners=[events], memory=MemoryAttempts(wall=wall)
    )


async def fail(guarded, key=TIMEOUT, wait=1.0) -> int:
    """A failure of the task."""
    return await guarded.increment(key, wait=wait, not_before=1000 + wait)


async def test_memory_answers_while_the_store_fails_and_it_is_told_once(store, guarded, events):
    """Counts go on from what the store had said."""
    await fail(guarded)
    store.error = OSError("no route to host")

    counts = [await fail(guarded) for _ in range(3)]

    assert counts == [2, 3, 4]
    assert (await guarded.get(TIMEOUT)).count == 4
    assert set(await guarded.load(TASK)) == {TIMEOUT}
    assert guarded.failing
    (told,) = events.events
    assert isinstance(told, AttemptStoreFailed)
    assert (told.operation, told.error, told.subject) == ("increment", store.error, "attempts")


async def test_a_store_that_hangs_costs_one_time_limit_and_not_one_each(store, guarded, events):
    """Afterwards it is left alone until the backoff is over."""
    store.hangs = True
    started = anyio.current_time()

    for _ in range(50):
        await fail(guarded)

    assert anyio.current_time() - started == pytest.approx(1)
    (told,) = events.of(AttemptStoreFailed)
    assert isinstance(told.error, TimeoutExceeded)
    assert "1 s" in str(told.error)


async def test_many_who_meet_the_outage_at_once_tell_it_once(store, guarded, events):
    """And the backoff is that of one failure."""
    store.hangs = True

    async with anyio.create_task_group() as tg:
        for number in range(50):
            tg.start_soon(fail, guarded, join("acme", f"task {number}", "timeout"))
    store.hangs = False
    await anyio.sleep(2)
    await fail(guarded)

    assert len(events.of(AttemptStoreFailed)) == 1
    assert events.of(AttemptStoreRecovered)[0].caught_up == 51
    assert len(await store.counts()) == 51


async def test_what_the_store_has_missed_is_made_good(store, guarded, events):
    """Counts, resets, and counts after a reset; the end of the outage is told with its length."""
    await fail(guarded)
    await fail(guarded, REFUSED)
    store.error = OSError("down")
    await fail(guarded, wait=7.0)
    await guarded.reset(prefix("acme", "other"))
    await guarded.reset(TASK)
    await fail(guarded, wait=9.0)
    await fail(guarded, wait=9.0)
    store.error = None
    await anyio.sleep(2)

    assert await fail(guarded, wait=11.0) == 3

    assert await store.counts() == {TIMEOUT: 3}
    assert await store.get(TIMEOUT) == Attempts(3, 11.0, 1011.0)
    assert not guarded.failing
    (told,) = events.of(AttemptStoreRecovered)
    assert told.duration == pytest.approx(2)


async def test_a_failing_store_is_asked_less_and_less_often(store, guarded):
    """After 2, 4 and 8 seconds, whoever comes."""
    store.error = OSError("down")

    asked = []
    for second in range(16):
        before = store.asked
        await guarded.get(TIMEOUT)
        if store.asked > before:
            asked.append(second)
        await anyio.sleep(1)

    assert asked == [0, 2, 6, 14]


async def test_a_read_notices_that_the_store_is_back(store, guarded, events):
    """And gets its answer, not that of memory."""
    store.error = OSError("down")
    assert await guarded.load(TASK) == {}
    await MemoryAttempts.increment(store, TIMEOUT, wait=1, not_before=1001, by=5)
    store.error = None
    await anyio.sleep(2)

    assert (await guarded.load(TASK))[TIMEOUT].count == 5
    assert events.of(AttemptStoreRecovered)[0].caught_up == 0


async def test_a_new_outage_is_told_again(store, guarded, events):
    """Once each."""
    for _ in range(2):
        store.error = OSError("down")
        await fail(guarded)
        store.error = None
        await anyio.sleep(2)
        await fail(guarded)

    assert [event.name for event in events.events] == ["attempt_store.failed", "attempt_store.recovered"] * 2


async def test_catching_up_takes_one_caller_no_longer_than_the_limit(store, guarded):
    """A slow store with much to catch up: the next caller goes on where the last one stopped."""
    store.error = OSError("down")
    for number in range(20):
        await fail(guarded, join("acme", f"task {number}", "timeout"))
    store.error, store.takes = None, 0.1
    await anyio.sleep(2)

    took = []
    while guarded.failing:
        started = anyio.current_time()
        await fail(guarded)
        took.append(anyio.current_time() - started)

    assert len(took) > 2
    assert max(took) <= 1.5
    counts = await store.counts()
    assert counts.pop(TIMEOUT) == len(took)
    assert set(counts.values()) == {1}
    assert len(counts) == 20


async def test_while_one_catches_up_the_others_do_not_wait(store, guarded):
    """Memory answers them, and what they change is not lost."""
    store.error = OSError("down")
    await fail(guarded)
    store.error, store.takes = None, 0.4
    await anyio.sleep(2)

    async with anyio.create_task_group() as tg:
        tg.start_soon(fail, guarded)
        await anyio.sleep(0.1)
        started = anyio.current_time()
        assert await fail(guarded) == 3
        assert anyio.current_time() == started

    assert await store.counts() == {TIMEOUT: 3}
    assert not guarded.failing


async def test_a_cancelled_caller_is_no_failure_and_its_change_is_not_lost(store, guarded, events):
    """Whether the store has it is open, so it is written again, exactly."""
    for takes in (10.0, 0.0):
        store.takes = takes
        with anyio.move_on_after(0.5):
            await fail(guarded)

    assert (await guarded.get(TIMEOUT)).count == 2
    assert await store.counts() == {TIMEOUT: 2}
    assert events.events == []


async def test_a_reset_of_a_namespace_is_made_good_too(store, guarded):
    """With what was counted after it."""
    for number in range(5):
        await fail(guarded, join("acme", f"task {number}", "timeout"))
    store.error = OSError("down")
    await guarded.reset(prefix("acme"))
    await fail(guarded)
    store.error = None
    await anyio.sleep(2)

    await guarded.get(TIMEOUT)

    assert await store.counts() == {TIMEOUT: 1}


async def test_nonsense_is_the_callers_fault_and_no_outage(guarded, events, store):
    """It is raised, and the store is not asked."""
    with pytest.raises(ValueError, match="last_wait is nan"):
        await fail(guarded, wait=float("nan"))

    assert (events.events, store.asked) == ([], 0)


async def test_without_listeners_it_is_logged(store, caplog):
    """Somebody has to hear it."""
    caplog.set_level(logging.WARNING)
    store.error = OSError("no route to host")

    await GuardedAttempts(store, memory=MemoryAttempts(wall=wall)).load(TASK)

    assert "attempt_store.failed" in caplog.text
    assert "no route to host" in caplog.text


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])  # real time: a file is waited for
async def test_a_locked_file_falls_back_to_memory_and_comes_back(tmp_path, events):
    """A real one: another process holds the write lock for longer than the limit."""
    path = tmp_path / "state.db"
    async with SqliteAttempts(path, wall=wall, busy_timeout=5) as store:
        guarded = GuardedAttempts(
            store, timeout=0.1, backoff=backoff.constant(0), listeners=[events], memory=MemoryAttempts(wall=wall)
        )
        await fail(guarded)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")

        assert [await fail(guarded), await fail(guarded)] == [2, 3]
        assert guarded.failing
        holder.execute("ROLLBACK")
        holder.close()
        with anyio.fail_after(10):
            while guarded.failing:
                await guarded.get(TIMEOUT)

        assert (await store.get(TIMEOUT)).count == 3
