"""What every kind of attempt store promises. A new kind subclasses the suite and supplies ``store``."""

import sqlite3
import time

import anyio
import psycopg
import pytest

from longrun.attempts import Attempts, GuardedAttempts, MemoryAttempts, SqliteAttempts, join, prefix
from orchestrator.sql import open_database
from orchestrator.state import opened_state
from orchestrator.state.postgres import BATTERY, STEPS, PostgresAttempts

pytestmark = pytest.mark.anyio

NOON = 1_772_366_400.0
DAY = 86_400.0

POLL = join("acme", "poll", "timeout")


class Wall:
    """A wall clock that stands until it is moved."""

    def __init__(self):
        self.time = NOON

    def __call__(self):
        return self.time


@pytest.fixture
def wall():
    return Wall()


class AttemptStoreContract:
    """The suite. Each test has a fresh store whose clock is *wall* and whose time to live is seven days."""

    async def test_increments_count_from_one(self, store):
        """What was said last is kept beside the count."""
        counts = [await store.increment(POLL, wait=2.0**n, not_before=NOON + 2.0**n) for n in range(3)]

        assert counts == [1, 2, 3]
        assert await store.get(POLL) == Attempts(3, 4.0, NOON + 4)

    async def test_several_may_be_counted_at_once(self, store):
        """As when a count is written back."""
        counts = [await store.increment(POLL, wait=1, not_before=NOON, by=by) for by in (5, 2)]

        assert counts == [5, 7]

    async def test_what_was_never_counted_is_not_there(self, store):
        """Neither the key nor its task."""
        assert await store.get(POLL) is None
        assert await store.load(prefix("acme", "poll")) == {}

    async def test_a_task_is_loaded_in_one_read(self, store):
        """All of its rules, and nobody else's."""
        other = join("acme", "poll", "refused")
        await store.increment(POLL, wait=1, not_before=NOON)
        await store.increment(other, wait=2, not_before=NOON + 2)
        await store.increment(join("acme", "poll2", "timeout"), wait=3, not_before=NOON)

        loaded = await store.load(prefix("acme", "poll"))

        assert loaded == {POLL: Attempts(1, 1.0, NOON), other: Attempts(1, 2.0, NOON + 2)}
        assert len(await store.load(prefix("acme"))) == 3

    async def test_a_reset_of_a_task_resets_no_other(self, store):
        """Not one whose name begins alike, not one whose name would be a key, not one of another namespace."""
        tasks = [
            ("acme", task) for task in ("poll", "poll2", "pol", "poll/timeout", "poll%2Ftimeout", "POLL", "*", "%")
        ]
        tasks += [("acme2", "poll"), ("acme/poll", "timeout"), ("%", "poll"), ("_cme", "poll")]
        for namespace, task in tasks:
            await store.increment(join(namespace, task, "timeout"), wait=1, not_before=NOON)

        await store.reset(prefix("acme", "poll"))

        kept = [bool(await store.load(prefix(namespace, task))) for namespace, task in tasks]
        assert kept == [False] + [True] * (len(tasks) - 1)

    async def test_a_reset_of_a_key_resets_that_key(self, store):
        """A rule whose name begins alike stays."""
        longer = join("acme", "poll", "timeout of the page")
        await store.increment(POLL, wait=1, not_before=NOON)
        await store.increment(longer, wait=1, not_before=NOON)

        await store.reset(POLL)

        assert set(await store.load(prefix("acme"))) == {longer}

    async def test_after_a_reset_it_counts_from_one(self, store):
        """And a reset of nothing is no error."""
        await store.reset(prefix("acme", "poll"))
        await store.increment(POLL, wait=1, not_before=NOON, by=9)
        await store.reset(prefix("acme", "poll"))

        assert await store.get(POLL) is None
        assert await store.increment(POLL, wait=1, not_before=NOON) == 1

    async def test_old_attempts_say_nothing_any_more(self, store, wall):
        """Seven days after the attempt was allowed; to the second, they still count."""
        await store.increment(POLL, wait=60, not_before=NOON + 60, by=5)

        wall.time = NOON + 60 + 7 * DAY
        assert await store.get(POLL) == Attempts(5, 60.0, NOON + 60)

        wall.time += 1
        assert await store.get(POLL) is None
        assert await store.load(prefix("acme", "poll")) == {}
        assert await store.increment(POLL, wait=2, not_before=wall.time + 2) == 1

    async def test_a_clock_that_was_set_back_loses_nothing(self, store, wall):
        """Counts of the future count."""
        await store.increment(POLL, wait=60, not_before=NOON + 60)

        wall.time = NOON - 400 * DAY

        assert await store.get(POLL) == Attempts(1, 60.0, NOON + 60)
        assert await store.increment(POLL, wait=60, not_before=wall.time + 60) == 2

    async def test_increments_at_once_all_count(self, store):
        """No two get the same number."""
        counts = []

        async def one():
            counts.append(await store.increment(POLL, wait=1, not_before=NOON))

        async with anyio.create_task_group() as tg:
            for _ in range(25):
                tg.start_soon(one)

        assert sorted(counts) == list(range(1, 26))

    @pytest.mark.parametrize(
        "nonsense",
        [{"wait": -1}, {"wait": float("nan")}, {"not_before": float("inf")}, {"by": 0}, {"by": True}, {"wait": "2"}],
    )
    async def test_nonsense_is_refused_and_changes_nothing(self, store, nonsense):
        """A ValueError names the value."""
        await store.increment(POLL, wait=1, not_before=NOON)

        with pytest.raises(ValueError, match=r"Attempts (count|last_wait|not_before) is"):
            await store.increment(POLL, **({"wait": 1, "not_before": NOON} | nonsense))

        assert await store.get(POLL) == Attempts(1, 1.0, NOON)

    async def test_what_is_no_prefix_is_refused(self, store):
        """It would say more, or less, than was meant."""
        with pytest.raises(ValueError, match="must end with '/'"):
            await store.load("acme/poll")

    async def test_a_task_sees_its_rules_by_their_names(self, store):
        """Two rules of equal text of two tasks do not meet."""
        mine, yours = join("acme", "poll", "a/b %"), join("acme", "poll/2", "a/b %")
        await store.increment(mine, wait=1, not_before=NOON)
        await store.increment(yours, wait=2, not_before=NOON)
        await store.reset(prefix("acme", "poll"))

        assert await store.load(prefix("acme", "poll")) == {}
        assert await store.load(prefix("acme", "poll/2")) == {yours: Attempts(1, 2.0, NOON)}


class TestMemoryAttempts(AttemptStoreContract):
    """The suite on memory."""

    @pytest.fixture
    def store(self, wall):
        return MemoryAttempts(wall=wall)

    async def test_old_attempts_are_cleaned_away(self, store, wall):
        """Tasks that are gone do not pile up."""
        for number in range(10):
            await store.increment(join("acme", f"task {number}", "timeout"), wait=1, not_before=NOON)

        wall.time += 8 * DAY
        await store.increment(POLL, wait=1, not_before=wall.time)

        assert repr(store) == "<MemoryAttempts: 1>"


class TestSqliteAttempts(AttemptStoreContract):
    """The suite on a file."""

    @pytest.fixture
    async def store(self, tmp_path, wall, anyio_backend):
        async with SqliteAttempts(tmp_path / "state.db", wall=wall) as store:
            yield store

    @pytest.fixture
    def rows(self, tmp_path):
        """Look into the file, or change it, from outside."""

        def call(statement="SELECT key FROM longrun_attempts"):
            with sqlite3.connect(tmp_path / "state.db") as other:
                found = other.execute(statement).fetchall()
            other.close()
            return found

        return call

    async def test_another_life_finds_what_was_counted(self, store, tmp_path, wall):
        """Also while this one still has the file open."""
        await store.increment(POLL, wait=60, not_before=NOON + 60)

        async with SqliteAttempts(tmp_path / "state.db", wall=wall) as other:
            assert await other.increment(POLL, wait=90, not_before=NOON + 90) == 2

        assert await store.get(POLL) == Attempts(2, 90.0, NOON + 90)

    async def test_old_attempts_are_cleaned_away(self, store, wall, rows):
        """Tasks that are gone do not pile up."""
        await store.increment(join("acme", "gone", "timeout"), wait=1, not_before=NOON)

        wall.time += 8 * DAY
        await store.increment(POLL, wait=1, not_before=wall.time)

        assert rows() == [(POLL,)]

    @pytest.mark.parametrize(
        "change", ["count = 'many'", "count = -3", "last_wait = 'long'", "not_before = 9e999", "count = 1.5"]
    )
    async def test_a_row_that_somebody_spoilt_is_passed_over(self, store, rows, change, caplog):
        """And named; the next failure writes a sound one, and no other row suffers."""
        other = join("acme", "poll", "refused")
        await store.increment(POLL, wait=1, not_before=NOON, by=3)
        await store.increment(other, wait=1, not_before=NOON)
        rows(f"UPDATE longrun_attempts SET {change} WHERE key = '{POLL}'")

        assert set(await store.load(prefix("acme", "poll"))) == {other}
        assert POLL in caplog.text

        assert await store.increment(POLL, wait=2, not_before=NOON + 2) in (1, 4)
        assert (await store.get(POLL)).last_wait == 2.0


class TestGuardedAttempts(AttemptStoreContract):
    """The suite on a guarded file: while all is well it is the file."""

    @pytest.fixture
    async def store(self, tmp_path, wall, anyio_backend):
        async with SqliteAttempts(tmp_path / "state.db", wall=wall) as store:
            yield GuardedAttempts(store, timeout=30, memory=MemoryAttempts(wall=wall))


class TestPostgresAttempts(AttemptStoreContract):
    """The suite on a server."""

    @pytest.fixture
    async def store(self, postgres_url, wall, anyio_backend):
        async with open_database(postgres_url) as database:
            await database.migrate(BATTERY, STEPS)
            yield PostgresAttempts(database, wall=wall)

    @pytest.fixture
    def rows(self, postgres_url, store):
        """Look into the table, or change it, from outside."""

        def call(statement="SELECT key FROM workflow.longrun_attempts"):
            with psycopg.connect(postgres_url, autocommit=True) as other:
                done = other.execute(statement)
                return done.fetchall() if done.description else []

        return call

    async def test_another_life_finds_what_was_counted(self, store, postgres_url):
        """On whatever machine, and both count on."""
        await store.increment(POLL, wait=60, not_before=time.time() + 60)

        async with opened_state(postgres_url) as other:
            assert await other.attempts.increment(POLL, wait=90, not_before=time.time() + 90) == 2

        assert (await store.get(POLL)).count == 2

    async def test_old_attempts_are_cleaned_away(self, store, wall, rows):
        """Tasks that are gone do not pile up."""
        await store.increment(join("acme", "gone", "timeout"), wait=1, not_before=NOON)

        wall.time += 8 * DAY
        await store.increment(POLL, wait=1, not_before=wall.time)

        assert rows() == [(POLL,)]

    @pytest.mark.parametrize("change", ["count = -3", "last_wait = 'NaN'", "not_before = 'Infinity'"])
    async def test_a_row_that_somebody_spoilt_is_passed_over(self, store, rows, change, caplog):
        """And named; the next failure writes a sound one, and no other row suffers."""
        other = join("acme", "poll", "refused")
        await store.increment(POLL, wait=1, not_before=NOON, by=3)
        await store.increment(other, wait=1, not_before=NOON)
        rows(f"UPDATE workflow.longrun_attempts SET {change} WHERE key = '{POLL}'")

        assert set(await store.load(prefix("acme", "poll"))) == {other}
        assert POLL in caplog.text

        assert await store.increment(POLL, wait=2, not_before=NOON + 2) in (1, 4)
        assert (await store.get(POLL)).last_wait == 2.0
