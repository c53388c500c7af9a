"""Kept attempts, their keys, and what a runner holds of one task."""

import pytest

from longrun.attempts import Attempts, MemoryAttempts, TaskAttempts, join, prefix, split

pytestmark = pytest.mark.anyio


class Counting(MemoryAttempts):
    """Memory that counts what it was asked."""

    def __init__(self) -> None:
        super().__init__(wall=lambda: 1000.0)
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def load(self, prefix: str):
        self.asked.append(f"load {prefix}")
        return await super().load(prefix)

    async def reset(self, prefix: str) -> None:
        self.asked.append(f"reset {prefix}")
        if self.error is not None:
            raise self.error
        await super().reset(prefix)


def test_keys_stay_readable():
    """Only what could forge another key is encoded."""
    assert join("acme", "poll: issues é", "on TimeoutError, OSError") == "acme/poll: issues é/on TimeoutError, OSError"
    assert join("a/b", "50%", "x\n") == "a%2Fb/50%25/x%0A"
    assert (prefix("a/b"), prefix("a", "b")) == ("a%2Fb/", "a/b/")


@pytest.mark.parametrize("parts", [("", "t", "r"), ("n", "", "r"), ("n", "t", ""), ("n", None, "r"), ("n", "t", 3)])
def test_a_part_that_is_no_text_is_refused(parts):
    """The error says which."""
    with pytest.raises(ValueError, match=r"the (namespace|task|rule) of attempts is"):
        join(*parts)


@pytest.mark.parametrize("text", ["", "a/b", "a//b", "a/b/c/d", "/a/b", "a/b/"])
def test_a_text_that_is_no_key_is_not_split(text):
    """It would name the wrong task."""
    with pytest.raises(ValueError, match="is no key of attempts"):
        split(text)


@pytest.mark.parametrize(
    "values",
    [(0, 1, 1), (True, 1, 1), (1.5, 1, 1), (1, -1, 1), (1, float("inf"), 1), (1, 1, float("nan")), (1, 1, "1")],
)
def test_nonsense_is_no_value(values):
    """The field is named."""
    with pytest.raises(ValueError, match=r"Attempts (count|last_wait|not_before) is"):
        Attempts(*values)


def test_a_clock_that_was_set_back_by_a_year_parks_nobody_for_a_year():
    """The last wait is the most."""
    kept = Attempts(3, 60.0, 1_000_000.0)

    assert [kept.left(wall) for wall in (999_970.0, 1_000_000.0, 2e9, 1_000_000.0 - 365 * 86400)] == [30, 0, 0, 60]


def test_a_restart_resumes_the_wait_and_not_the_death():
    """A budget that was spent has one retry left; one without limit goes on where it was."""
    assert [Attempts(n, 1, 1).resumed(3) for n in (1, 2, 3, 9)] == [1, 2, 2, 2]
    assert Attempts(9, 1, 1).resumed(None) == 9


async def test_a_success_costs_nothing_while_nothing_is_stored():
    """A hundred thousand healthy tasks do not write."""
    store = Counting()
    task = TaskAttempts(store, "acme", "poll")

    await task.load()
    for _ in range(3):
        await task.reset()

    assert store.asked == ["load acme/poll/"]


async def test_the_first_success_after_a_failure_resets_at_once():
    """A crash later finds no stale count; the successes after it cost nothing again."""
    store = Counting()
    task = TaskAttempts(store, "acme", "poll")
    await task.load()
    await task.increment("timeout", wait=1, not_before=1001)
    await task.increment("refused", wait=1, not_before=1001)

    for _ in range(3):
        await task.reset()

    assert store.asked == ["load acme/poll/", "reset acme/poll/"]
    assert await store.load("acme/") == {}


async def test_what_a_life_before_left_is_reset_by_the_first_success():
    """Also when it was never loaded."""
    for load in (True, False):
        store = Counting()
        await store.increment(join("acme", "poll", "timeout"), wait=1, not_before=1001)
        task = TaskAttempts(store, "acme", "poll")
        if load:
            assert await task.load() == {"timeout": Attempts(1, 1.0, 1001.0)}

        await task.reset()

        assert await store.load("acme/") == {}


async def test_a_reset_that_fails_is_done_by_the_next_success():
    """A store that raises is not forgotten."""
    store = Counting()
    task = TaskAttempts(store, "acme", "poll")
    await task.increment("timeout", wait=1, not_before=1001)
    store.error = OSError("down")
    with pytest.raises(OSError, match="down"):
        await task.reset()
    store.error = None

    await task.reset()

    assert await store.load("acme/") == {}
