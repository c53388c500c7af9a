"""Where a service keeps what it remembers: nowhere, in a file, in a database; and what a wrong place gets."""

import pytest

from orchestrator.state import StateError, opened_state

pytestmark = pytest.mark.anyio


async def remembered(where):
    """What a second life finds of the first."""
    async with opened_state(where) as state:
        await state.checkpoints.save("poll", b"7")
        if state.attempts is not None:
            await state.attempts.increment("workers/poll/timeout", wait=1, not_before=4e9)
    async with opened_state(where) as state:
        kept = None if state.attempts is None else await state.attempts.get("workers/poll/timeout")
        return await state.checkpoints.load("poll"), None if kept is None else kept.count


@pytest.mark.parametrize("spelled", ["{}/deep/er/state.db", "sqlite://{}/state.db"])
async def test_a_file_remembers_by_its_path_or_its_url(tmp_path, spelled):
    """Its folders are made."""
    assert await remembered(spelled.format(tmp_path)) == (b"7", 1)
    assert await remembered(tmp_path / "by-path.db") == (b"7", 1)


async def test_a_server_remembers(postgres_url):
    """The tables are made at the start, once."""
    assert await remembered(postgres_url) == (b"7", 1)


@pytest.mark.parametrize("where", [None, "sqlite://:memory:"])
async def test_memory_forgets(where):
    """It is for one life."""
    assert await remembered(where) == (None, None)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("mysql://me:secret@host/db", "unknown scheme 'mysql'"),
        ("postgresql://me:secret@127.0.0.1:1/db", "see that the server runs"),
        ("/proc/state.db", "/proc/state.db"),
    ],
)
async def test_a_wrong_place_is_one_clear_error_without_its_password(where, said):
    """It names the setting, the place and the remedy."""
    with pytest.raises(StateError, match=rf"\[orchestrator\] state: .*{said}") as caught:
        async with opened_state(where):
            pytest.fail("it was opened")

    assert "secret" not in str(caught.value)
