"""The checkpoint handle: throttle, pending state, backoff, flush, and every error."""

import json
import logging

import anyio
import pytest

from longrun import backoff
from longrun.checkpoint import (
    Checkpoint,
    CheckpointCorrupt,
    CheckpointError,
    CheckpointNewer,
    CheckpointStateError,
    CheckpointUnreachable,
    Json,
    MemoryCheckpoints,
    Saved,
)
from longrun.failure.category import Category
from longrun.failure.classify import classify

pytestmark = pytest.mark.anyio


class Store(MemoryCheckpoints):
    """Memory that can be told to fail or to hang, and counts its writes."""

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.hangs = False
        self.asked = 0

    async def save(self, key: str, state: bytes) -> None:
        self.asked += 1
        await self.obey()
        await super().save(key, state)

    async def load(self, key: str) -> bytes | None:
        await self.obey()
        return await super().load(key)

    async def delete(self, key: str) -> None:
        await self.obey()
        await super().delete(key)

    async def obey(self) -> None:
        if self.hangs:
            await anyio.sleep_forever()
        if self.error is not None:
            raise self.error


@pytest.fixture
def store() -> Store:
    return Store()


def checkpoint(store: Store, **settings) -> Checkpoint:
    """A checkpoint ``poll`` whose failures wait exactly 2, 4, 8 s."""
    return Checkpoint(store, "poll", **{"backoff": backoff.exponential(2, 60, jitter=0), **settings})


async def test_the_first_save_writes_and_the_next_ones_wait_for_the_interval(store):
    """Five seconds by default; the state in between is pending."""
    one = checkpoint(store)

    outcomes = []
    for page in range(4):
        outcomes.append(await one.save({"page": page}))
        await anyio.sleep(2)

    assert outcomes == [Saved.PERSISTED, Saved.THROTTLED, Saved.THROTTLED, Saved.PERSISTED]
    assert await one.load() == {"page": 3}


async def test_without_an_interval_every_save_writes(store):
    """0 is no throttle."""
    one = checkpoint(store, interval=0)

    outcomes = {await one.save([n]) for n in range(5)}

    assert (outcomes, store.asked) == ({Saved.PERSISTED}, 5)


async def test_a_fresh_key_is_a_miss_and_no_error(store):
    """None says only that."""
    assert await checkpoint(store).load() is None


async def test_the_newest_throttled_state_is_written_by_flush(store):
    """The ones before it are gone; a second flush has nothing to do."""
    one = checkpoint(store)
    for n in range(4):
        await one.save(n)

    await one.flush()
    await one.flush()

    assert (await one.load(), one.pending, store.asked) == (3, False, 2)


async def test_a_block_flushes_at_its_end(store):
    """Also when it is cancelled."""
    with anyio.move_on_after(1):
        async with checkpoint(store) as one:
            await one.save("begun")
            await one.save("half way")
            await anyio.sleep_forever()

    assert await one.load() == "half way"


async def test_the_state_is_the_one_that_was_saved_whatever_becomes_of_it(store):
    """The work goes on with the same object."""
    one = checkpoint(store)
    seen = ["a"]
    await one.save(seen)
    seen.append("b")
    await one.save(seen)
    seen.append("c")

    await one.flush()

    assert await one.load() == ["a", "b"]


async def test_a_failed_write_moves_no_throttle_and_its_state_is_kept(store):
    """The failure is raised; once the backoff is over, the next save reaches the store."""
    one = checkpoint(store)
    store.error = OSError("no route to host")

    with pytest.raises(CheckpointUnreachable, match=r"'poll' could not be saved in .*no route to host.*kept") as caught:
        await one.save(1)
    assert one.pending
    store.error = None
    await anyio.sleep(2)

    assert await one.save(2) is Saved.PERSISTED
    assert caught.value.key == "poll"
    assert isinstance(caught.value.__cause__, OSError)
    assert classify(caught.value).category is Category.SERVICE


async def test_a_failing_store_is_left_alone_for_longer_and_longer(store):
    """Saves meanwhile are throttled: fifteen seconds of saves ask it four times."""
    one = checkpoint(store)
    store.error = OSError("down")

    asked = []
    for second in range(15):
        before = store.asked
        try:
            assert await one.save(second) is Saved.THROTTLED
        except CheckpointUnreachable:
            assert store.asked == before + 1
            asked.append(second)
        await anyio.sleep(1)

    assert asked == [0, 2, 6, 14]


async def test_a_success_ends_the_backoff(store):
    """The next failure begins anew."""
    one = checkpoint(store, interval=0)
    store.error = OSError("down")
    for wait in (2, 4):
        with pytest.raises(CheckpointUnreachable):
            await one.save(1)
        await anyio.sleep(wait)
    store.error = None
    await one.save(2)
    store.error = OSError("down again")
    with pytest.raises(CheckpointUnreachable):
        await one.save(3)

    await anyio.sleep(2)

    with pytest.raises(CheckpointUnreachable):
        await one.save(4)


async def test_flush_asks_a_failing_store_whatever_the_backoff_says(store):
    """It is the last chance."""
    one = checkpoint(store)
    store.error = OSError("down")
    for call in (lambda: one.save(1), one.flush, one.flush):
        with pytest.raises(CheckpointUnreachable):
            await call()

    assert (store.asked, one.pending) == (3, True)


async def test_flush_takes_no_longer_than_its_own_limit(store):
    """Cancelled or not; the state stays pending."""
    one = checkpoint(store, flush_timeout=3)
    await one.save(1)
    await one.save(2)
    store.hangs = True

    for cancelled in (False, True):
        started = anyio.current_time()
        with anyio.CancelScope() as scope:
            if cancelled:
                scope.cancel()
            with pytest.raises(CheckpointUnreachable, match="no answer within 3 s"):
                await one.flush()
        assert anyio.current_time() - started == pytest.approx(3)

    assert one.pending


async def test_a_flush_that_fails_does_not_take_the_place_of_what_ended_the_block(store, caplog):
    """It is logged; on its own it is raised."""
    one = checkpoint(store)

    async def work():
        async with one:
            store.error = OSError("down")
            with pytest.raises(CheckpointUnreachable):
                await one.save(1)
            raise KeyError("the work")

    with pytest.raises(KeyError, match="the work"):
        await work()
    assert "checkpoint 'poll' lost its last state" in caplog.text

    with pytest.raises(CheckpointUnreachable, match="down"):
        async with one:
            pass


async def test_a_cancelled_block_stays_cancelled_when_its_flush_fails(store, caplog):
    """A cancellation is never replaced by an error."""
    caplog.set_level(logging.CRITICAL, "longrun.checkpoint")
    with anyio.CancelScope() as scope:
        async with checkpoint(store) as one:
            store.error = OSError("down")
            with pytest.raises(CheckpointUnreachable):
                await one.save(1)
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught


async def test_a_save_that_is_cancelled_keeps_its_state(store):
    """Whether the store has it is open; a flush makes sure."""
    one = checkpoint(store)
    store.hangs = True
    with anyio.move_on_after(1):
        await one.save("newest")
    store.hangs = False

    await one.flush()

    assert await one.load() == "newest"


async def test_saves_at_once_are_one_write_of_the_newest(store):
    """Each is told the truth: stored, or something newer is."""
    one = checkpoint(store, interval=0)
    gate = anyio.Event()
    first = True
    outcomes = []

    async def slow_once():
        nonlocal first
        if first:
            first = False
            await gate.wait()

    store.obey = slow_once

    async def save(n):
        outcomes.append(await one.save(n))

    async with anyio.create_task_group() as tg:
        for n in range(100):
            tg.start_soon(save, n)
            await anyio.lowlevel.checkpoint()
        await anyio.sleep(1)
        gate.set()

    assert (set(outcomes), len(outcomes), store.asked) == ({Saved.PERSISTED}, 100, 2)
    assert await one.load() == 99


async def test_saves_that_came_to_be_stored_by_another_are_told_so(store):
    """Not that they were throttled."""
    one = checkpoint(store)
    gate = anyio.Event()
    store.obey = gate.wait
    outcomes = []

    async def save(n):
        outcomes.append(await one.save(n))

    async with anyio.create_task_group() as tg:
        tg.start_soon(one.clear)
        await anyio.sleep(1)
        for n in range(3):
            tg.start_soon(save, n)
        await anyio.sleep(1)
        gate.set()

    assert (outcomes, store.asked) == ([Saved.PERSISTED] * 3, 1)


async def test_a_flush_that_succeeds_ends_the_backoff(store):
    """The store is there again, so nobody has to wait for it."""
    one = checkpoint(store, interval=0)
    store.error = OSError("down")
    with pytest.raises(CheckpointUnreachable):
        await one.save(1)
    store.error = None
    await one.flush()

    assert await one.save(2) is Saved.PERSISTED


async def test_clear_forgets_what_is_stored_and_what_is_pending(store):
    """The work is done; nothing comes back with the next flush."""
    one = checkpoint(store)
    await one.save(1)
    await one.save(2)

    await one.clear()
    await one.flush()

    assert await one.load() is None
    assert not one.pending


async def test_a_save_after_a_clear_is_kept(store):
    """Even one that comes while the clear is still under way."""
    one = checkpoint(store, interval=0)
    await one.save("old")
    gate = anyio.Event()
    store.obey = gate.wait

    async with anyio.create_task_group() as tg:
        tg.start_soon(one.clear)
        await anyio.sleep(1)
        tg.start_soon(one.save, "new")
        await anyio.sleep(1)
        gate.set()

    assert await one.load() == "new"


async def test_a_store_that_fails_is_no_miss(store):
    """Not when loading, not when clearing."""
    one = checkpoint(store)
    store.error = ConnectionError()

    with pytest.raises(CheckpointUnreachable, match=r"could not be loaded.*ConnectionError"):
        await one.load()
    with pytest.raises(CheckpointUnreachable, match=r"could not be cleared"):
        await one.clear()


@pytest.mark.parametrize(
    "foreign",
    [
        b"",
        b"{}",
        b'{"page": 3}',
        b"\x80\x04\x95pickle",
        b"longrun.checkpoint/1",
        b"longrun.checkpoint/1 ",
        b"longrun.checkpoint/0 00000000\n",
        b"longrun.checkpoint/-1 00000000\n",
        b"longrun.checkpoint/99999999999999999999 00000000\n",
        b"longrun.checkpoint/1 zzzzzzzz\n{}",
        b"longrun.checkpoint/1 00000000\n{}",
    ],
)
async def test_bytes_of_somebody_else_are_corrupt_and_stay_as_they_are(store, foreign):
    """No miss, no unreachable store, and nothing that is retried."""
    await store.save("poll", foreign)

    with pytest.raises(CheckpointCorrupt, match=r"'poll'.*clear\(\)") as caught:
        await checkpoint(store).load()

    assert await store.load("poll") == foreign
    assert not isinstance(caught.value, CheckpointUnreachable)
    assert classify(caught.value).category is Category.PERMANENT


async def test_every_bit_that_turns_over_is_noticed(store):
    """The checksum covers the whole state."""
    await checkpoint(store).save({"page": 3, "seen": ["a", "b"]})
    sound = await store.load("poll")
    assert sound is not None

    for place in range(len(sound)):
        await store.save("poll", sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        with pytest.raises((CheckpointCorrupt, CheckpointNewer)):
            await checkpoint(store).load()
        await store.save("poll", sound[:place])
        with pytest.raises(CheckpointCorrupt):
            await checkpoint(store).load()


async def test_a_newer_format_is_named_and_left_alone(store):
    """It is not corrupt: the newer release reads it."""
    await store.save("poll", b"longrun.checkpoint/2 anything else")

    with pytest.raises(CheckpointNewer, match="has format 2, but this release reads format 1 only"):
        await checkpoint(store).load()


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (None, "would look like a miss"),
        (float("nan"), "not JSON compliant"),
        ({1: "a"}, "key 1 of a mapping would come back as text"),
        ([{"a": {None: 1}}], "key None"),
        (object(), "not JSON serializable"),
        ({"a", "b"}, "not JSON serializable"),
    ],
)
async def test_a_state_that_would_not_come_back_is_refused(store, state, why):
    """A ValueError that says why; what was pending before stays."""
    one = checkpoint(store)
    await one.save(1)
    await one.save(2)

    with pytest.raises(CheckpointStateError, match=why) as caught:
        await one.save(state)
    await one.flush()

    assert await one.load() == 2
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, CheckpointError)


async def test_a_state_that_contains_itself_is_refused(store):
    """As JSON cannot hold it."""
    state: list = []
    state.append(state)

    with pytest.raises(CheckpointStateError, match="Circular"):
        await checkpoint(store).save(state)


class Hexadecimal:
    """A codec of our own."""

    def encode(self, state: int) -> bytes:
        return b"%x" % state

    def decode(self, data: bytes) -> int:
        return int(data, 16)


async def test_a_codec_of_the_application_makes_the_bytes(store):
    """The envelope around them is ours, so that it can be told what they are."""
    one = Checkpoint(store, "poll", codec=Hexadecimal())
    await one.save(255)

    assert await one.load() == 255
    assert (await store.load("poll")).endswith(b"\nff")


async def test_what_the_codec_does_not_understand_is_corrupt(store):
    """The state of another codec, for example; the error says so."""
    await checkpoint(store).save({"page": 3})

    with pytest.raises(CheckpointCorrupt, match=r"'poll' cannot be read back: invalid literal.*codec that saved it"):
        await Checkpoint(store, "poll", codec=Hexadecimal()).load()


@pytest.mark.parametrize("state", [{"a": [1, 2.5, None, True, "ü\ud800"]}, [], {}, "", 0, False, 10**30])
async def test_json_states_come_back_as_they_were(store, state):
    """Also those that are false, which are no miss."""
    codec: Json[object] = Json()
    one = checkpoint(store)

    await one.save(state)

    assert await one.load() == state
    assert json.loads(codec.encode(state)) == state


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"interval": -1}, "Checkpoint interval is -1"),
        ({"interval": float("nan")}, "Checkpoint interval is nan"),
        ({"flush_timeout": 0}, "Checkpoint flush_timeout is 0"),
        ({"backoff": 3}, "Checkpoint backoff is 3"),
        ({"key": ""}, "Checkpoint key is ''"),
        ({"key": "a\nb"}, r"Checkpoint key is 'a\\nb'"),
        ({"key": 7}, "Checkpoint key is 7"),
    ],
)
async def test_nonsense_settings_are_refused_when_it_is_made(store, settings, why):
    """With the value and the remedy."""
    with pytest.raises(ValueError, match=why):
        Checkpoint(**{"store": store, "key": "poll", **settings})
