"""What every kind of checkpoint store promises. A new kind subclasses the suite and supplies ``store``."""

import anyio
import pytest

from longrun.checkpoint import MemoryCheckpoints, SqliteCheckpoints
from orchestrator.state import opened_state

pytestmark = pytest.mark.anyio

AWKWARD = ["a", "a/b", "a%2Fb", "A", "a ", "'; DROP TABLE x; --", "naïve 漢字", "*", "_", "%", "x" * 2000]


class CheckpointStoreContract:
    """The suite. Each test has a fresh store."""

    async def test_a_key_that_was_never_saved_is_a_miss(self, store):
        """And a miss is no error."""
        assert await store.load("nobody") is None

    @pytest.mark.parametrize("state", [b"", b"\0\xff\n'", b"x" * 300_000])
    async def test_what_was_saved_is_loaded_byte_for_byte(self, store, state):
        """Whatever the bytes are; nothing is still something."""
        await store.save("poll", state)

        assert await store.load("poll") == state

    async def test_a_save_takes_the_place_of_the_one_before(self, store):
        """The last one counts."""
        await store.save("poll", b"one, a longer one")
        await store.save("poll", b"two")

        assert await store.load("poll") == b"two"

    async def test_keys_do_not_touch_one_another(self, store):
        """However alike they look."""
        for key in AWKWARD:
            await store.save(key, key.encode())

        await store.delete("a")

        assert await store.load("a") is None
        assert [await store.load(key) for key in AWKWARD[1:]] == [key.encode() for key in AWKWARD[1:]]

    async def test_a_deleted_key_is_a_miss_and_may_be_saved_again(self, store):
        """Deleting what is not there is no error."""
        await store.save("poll", b"one")

        await store.delete("poll")
        await store.delete("poll")

        assert await store.load("poll") is None
        await store.save("poll", b"two")
        assert await store.load("poll") == b"two"

    async def test_many_keys_are_saved_and_loaded_at_once(self, store):
        """By as many tasks; each finds its own."""
        found = {}

        async def one(number):
            for step in range(3):
                await store.save(f"task-{number}", b"%d/%d" % (number, step))
            found[number] = await store.load(f"task-{number}")

        async with anyio.create_task_group() as tg:
            for number in range(20):
                tg.start_soon(one, number)

        assert found == {number: b"%d/2" % number for number in range(20)}


class TestMemoryCheckpoints(CheckpointStoreContract):
    """The suite on memory."""

    @pytest.fixture
    def store(self):
        return MemoryCheckpoints()

    async def test_it_keeps_a_copy(self, store):
        """Bytes that are changed afterwards stay as they were saved."""
        state = bytearray(b"one")

        await store.save("poll", state)
        state[:] = b"two"

        assert await store.load("poll") == b"one"


class TestSqliteCheckpoints(CheckpointStoreContract):
    """The suite on a file."""

    @pytest.fixture
    async def store(self, tmp_path, anyio_backend):
        async with SqliteCheckpoints(tmp_path / "deep/er/state.db") as store:
            yield store

    async def test_another_life_finds_what_was_saved(self, store, tmp_path):
        """Also while this one still has the file open."""
        await store.save("poll", b"one")

        async with SqliteCheckpoints(tmp_path / "deep/er/state.db") as other:
            assert await other.load("poll") == b"one"
            await other.save("poll", b"two")

        assert await store.load("poll") == b"two"


class TestPostgresCheckpoints(CheckpointStoreContract):
    """The suite on a server."""

    @pytest.fixture
    async def store(self, postgres_url, anyio_backend):
        async with opened_state(postgres_url) as state:
            yield state.checkpoints

    async def test_another_life_finds_what_was_saved(self, store, postgres_url):
        """On whatever machine."""
        await store.save("poll", b"one\0two")

        async with opened_state(postgres_url) as other:
            assert await other.checkpoints.load("poll") == b"one\0two"
