"""What every kind of store promises. A new kind subclasses the suite and supplies ``database`` and ``store``."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from orchestrator.inbox import AlreadyFinished, InvalidQuery, LeaseLost, State, UnknownRun
from orchestrator.inbox.records import Hold, NewRun
from orchestrator.inbox.sqlite_store import SqliteStore
from orchestrator.sql import SqliteDatabase

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.time = NOON

    def __call__(self):
        return self.time

    def advance(self, seconds):
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


class StoreContract:
    """The suite. Each test runs in a fresh store whose clock is *clock*."""

    @pytest.fixture
    def do(self, database, store):
        """Call a unit of work of the store in a transaction of its own."""

        async def call(name, *args, **options):
            return await database.transaction(lambda c: getattr(store, name)(c, *args, **options))

        return call

    @pytest.fixture
    def submit(self, do):
        """Store one run; the ids count up."""
        numbers = count(1)

        async def call(type="mail.v1", **options):  # noqa: A002 - the wire's own word
            row = {"payload": "1", "idempotency_key": None, "priority": 100, "delay": 0.0, "run_at": None}
            row |= {"max_attempts": 3, "id": f"run-{next(numbers):03}", **options}
            return (await do("insert", [NewRun(type=type, **row)]))[0]

        return call

    @pytest.fixture
    def claim(self, do):
        """Claim for worker ``w1``."""

        async def call(worker="w1", types=("mail.v1",), limit=10, lease=30.0, **options):
            return await do("claim", worker, types, limit, lease, **options)

        return call

    async def history(self, do, run_id):
        return [event.type for event in await do("events", run_id)]

    async def test_a_new_run_is_pending_and_due_at_once(self, do, submit):
        """It is stored as it was given, with the first line of its history."""
        run_id = await submit(payload='{"a":1}', priority=5, max_attempts=7, idempotency_key="k")

        run = await do("get", run_id)

        assert (run.type, run.payload, run.state, run.priority) == ("mail.v1", '{"a":1}', State.PENDING, 5)
        assert (run.run_at, run.created_at, run.max_attempts, run.idempotency_key) == (NOON, NOON, 7, "k")
        assert (run.attempt, run.claims, run.fence, run.leased_by, run.result) == (0, 0, 0, None, None)
        assert await self.history(do, run_id) == ["created"]

    async def test_a_known_key_gives_the_run_that_has_it(self, do, submit):
        """Whatever became of that run, and without a second line in its history."""
        first = await submit(idempotency_key="k")
        await do("cancel", first)

        again = await submit(idempotency_key="k", type="other.v1")

        assert again == first
        assert await self.history(do, first) == ["created", "cancelled"]

    async def test_claims_take_the_lowest_priority_then_the_oldest(self, do, submit, claim, clock):
        """Among equals the id decides."""
        late = await submit(priority=10)
        urgent = await submit(priority=1, delay=0.5)
        early = await submit(priority=10, run_at=NOON - timedelta(hours=1))
        tie = await submit(priority=10)
        clock.advance(1)

        claimed = await claim()

        assert [run.hold.run_id for run in claimed] == [urgent, early, late, tie]

    async def test_an_ageing_claim_takes_the_oldest_whatever_its_priority(self, submit, claim):
        """So that nothing waits for ever behind urgent work."""
        await submit(priority=1)
        old = await submit(priority=100, run_at=NOON - timedelta(hours=1))

        claimed = await claim(limit=1, oldest_first=True)

        assert [run.hold.run_id for run in claimed] == [old]

    async def test_a_claim_takes_what_is_due_of_its_types_up_to_its_limit(self, submit, claim, clock):
        """Not the future, not other types, not one more."""
        await submit(delay=60)
        await submit("mail.v10")
        await submit("mailXv1")
        wanted = [await submit(), await submit()]
        await submit()

        first = await claim(limit=2)
        rest = await claim(types=("mail.v1", "unknown.v1"))

        assert [run.hold.run_id for run in first] == wanted
        assert len(rest) == 1
        clock.advance(60)
        assert len(await claim()) == 1

    async def test_a_claimed_run_is_leased_to_its_worker(self, do, submit, claim):
        """The fence and the claims rise, the failed attempts do not."""
        run_id = await submit(payload='"x"')

        (claimed,) = await claim(lease=45)

        run = await do("get", run_id)
        assert claimed.hold == Hold(run_id, "w1", 1)
        assert (claimed.type, claimed.payload, claimed.failures, claimed.max_attempts) == ("mail.v1", b'"x"', 0, 3)
        assert (run.state, run.leased_by, run.lease_until) == (State.LEASED, "w1", NOON + timedelta(seconds=45))
        assert (run.fence, run.claims, run.attempt) == (1, 1, 0)
        assert await self.history(do, run_id) == ["created", "leased", "started"]
        assert await claim("w2") == []

    async def test_success_stores_the_result(self, do, submit, claim):
        """And ends the lease."""
        run_id = await submit()
        (claimed,) = await claim()

        await do("succeed", claimed.hold, '{"ok":true}')

        run = await do("get", run_id)
        assert (run.state, run.result, run.leased_by, run.lease_until) == (State.SUCCEEDED, '{"ok":true}', None, None)
        assert (await self.history(do, run_id))[-1] == "succeeded"

    async def test_a_failure_is_tried_again_after_its_wait(self, do, submit, claim, clock):
        """The failed attempts rise by one and the error is kept."""
        run_id = await submit()
        (claimed,) = await claim()

        await do("fail", claimed.hold, "Boom: no", 60.0)

        run = await do("get", run_id)
        assert (run.state, run.attempt, run.last_error) == (State.PENDING, 1, "Boom: no")
        assert run.run_at == NOON + timedelta(seconds=60)
        assert (await do("events", run_id))[-1].data == {"attempt": 1, "error": "Boom: no"}
        assert await claim() == []
        clock.advance(60)
        assert [again.failures for again in await claim()] == [1]

    async def test_a_failure_for_good_is_failed(self, do, submit, claim):
        """It is never claimed again."""
        run_id = await submit()
        (claimed,) = await claim()

        await do("fail", claimed.hold, "Boom: no", None)

        run = await do("get", run_id)
        assert (run.state, run.attempt, run.last_error) == (State.FAILED, 1, "Boom: no")
        assert (await self.history(do, run_id))[-1] == "failed"
        assert await claim() == []

    async def test_a_released_run_is_as_if_it_had_never_been_claimed(self, do, submit, claim):
        """But for the fence, which never falls."""
        run_id = await submit()
        (claimed,) = await claim()

        await do("release", claimed.hold)

        run = await do("get", run_id)
        assert (run.state, run.attempt, run.claims, run.fence) == (State.PENDING, 0, 0, 1)
        last = (await do("events", run_id))[-1]
        assert (last.type, last.data["reason"]) == ("retried", "released")
        assert [again.hold.fence for again in await claim()] == [2]

    async def test_an_expired_lease_is_swept_and_counts_as_a_failure(self, do, submit, claim, clock):
        """A lease that has not expired is left alone."""
        run_id = await submit()
        await claim(lease=30)

        clock.advance(30)
        early = await do("sweep", 100)
        clock.advance(0.001)
        late = await do("sweep", 100)

        run = await do("get", run_id)
        assert (early.returned, late.returned, late.exhausted) == (0, 1, 0)
        assert (run.state, run.attempt, run.claims) == (State.PENDING, 1, 1)
        assert "'w1'" in run.last_error
        last = (await do("events", run_id))[-1]
        assert (last.type, last.data["reason"], last.data["worker_id"]) == ("retried", "lease_expired", "w1")

    async def test_a_run_that_kills_its_workers_is_failed(self, do, submit, claim, clock):
        """After its attempts and three crashes more."""
        run_id = await submit(max_attempts=1)

        executions = 0
        while await claim():
            executions += 1
            clock.advance(31)
            await do("sweep", 100)

        run = await do("get", run_id)
        assert (executions, run.state) == (4, State.FAILED)
        assert "kills its workers" in run.last_error
        assert (await self.history(do, run_id))[-1] == "failed"

    async def test_a_run_claimed_too_often_is_refused_and_does_not_stand_in_the_way(self, do, submit, claim, clock):
        """The others behind it are claimed in the same claim."""
        bad = await submit(max_attempts=1, priority=1)
        for _ in range(4):
            (claimed,) = await claim()
            await do("fail", claimed.hold, "try again", 0.0)
        good = await submit()

        claimed = await claim(limit=1)

        assert [run.hold.run_id for run in claimed] == [good]
        run = await do("get", bad)
        assert run.state is State.FAILED
        assert "claimed 4 times" in run.last_error

    async def test_a_heartbeat_renews_and_tells_what_is_lost_and_what_is_cancelled(self, do, submit, claim, clock):
        """In one unit of work."""
        kept, cancelled = await submit(), await submit()
        holds = [run.hold for run in await claim(lease=30)]
        stale = Hold(kept, "w1", 0)
        await do("cancel", cancelled)
        clock.advance(20)

        renewal = await do("heartbeat", [*holds, stale, Hold("gone", "w1", 1)], 30.0)

        assert {hold.run_id for hold in renewal.cancelled} == {cancelled}
        assert renewal.lost == {stale, Hold("gone", "w1", 1)}
        assert (await do("get", kept)).lease_until == NOON + timedelta(seconds=50)
        assert "heartbeat" not in await self.history(do, kept)

    async def test_an_audited_heartbeat_is_part_of_the_history(self, do, submit, claim):
        """With how long it extended the lease."""
        run_id = await submit()
        (claimed,) = await claim()

        await do("heartbeat", [claimed.hold], 30.0, audit=True)

        last = (await do("events", run_id))[-1]
        assert (last.type, last.data) == ("heartbeat", {"extended_by_seconds": 30})

    @pytest.mark.parametrize("late", [("succeed", "1"), ("fail", "x", 1.0), ("fail", "x", None), ("release",)])
    @pytest.mark.parametrize("how", ["expired", "claimed by another", "cancelled", "finished", "same worker again"])
    async def test_whoever_lost_the_lease_changes_nothing(self, do, submit, claim, clock, late, how):
        """It is told LeaseLost, and the row and its history stay as they are."""
        run_id = await submit()
        (claimed,) = await claim()
        if how == "cancelled":
            await do("cancel", run_id)
        elif how == "finished":
            await do("succeed", claimed.hold, '"first"')
        else:
            clock.advance(31)
            await do("sweep", 100)
            if how != "expired":
                assert len(await claim("w1" if how == "same worker again" else "w2")) == 1
        before = (await do("get", run_id), await do("events", run_id))

        with pytest.raises(LeaseLost, match=run_id):
            await do(late[0], claimed.hold, *late[1:])

        assert (await do("get", run_id), await do("events", run_id)) == before

    async def test_a_pending_or_leased_run_can_be_cancelled_once(self, do, submit, claim):
        """A second time changes nothing; a finished run cannot be cancelled."""
        pending, done = await submit(delay=60), await submit()
        (claimed,) = await claim()

        await do("cancel", pending)
        await do("cancel", pending)
        await do("succeed", claimed.hold, "1")

        assert (await do("get", pending)).state is State.CANCELLED
        assert await self.history(do, pending) == ["created", "cancelled"]
        with pytest.raises(AlreadyFinished, match="succeeded"):
            await do("cancel", done)

    async def test_a_failed_run_can_be_requeued_with_new_counters(self, do, submit, claim):
        """A late writer of its former life is still refused."""
        run_id = await submit()
        (claimed,) = await claim()
        await do("fail", claimed.hold, "x", None)

        await do("requeue", run_id)

        run = await do("get", run_id)
        assert (run.state, run.attempt, run.claims) == (State.PENDING, 0, 0)
        assert run.fence > claimed.hold.fence
        assert (await do("events", run_id))[-1].data == {"reason": "operator"}
        with pytest.raises(AlreadyFinished, match="pending"):
            await do("requeue", run_id)

    @pytest.mark.parametrize("call", ["get", "events", "cancel", "requeue"])
    async def test_an_unknown_run_is_said_to_be_unknown(self, do, call):
        """With its id."""
        with pytest.raises(UnknownRun, match="'nobody'"):
            await do(call, "nobody")

    async def test_a_listing_pages_through_all_runs_newest_first(self, do, submit):
        """Each run is on one page, and the last page has no next."""
        ids = [await submit() for _ in range(5)]
        filters = {"type": None, "state": None, "idempotency_key": None, "limit": 2}

        seen, cursor, pages = [], None, 0
        while pages == 0 or cursor is not None:
            page = await do("list", **filters, cursor=cursor)
            seen += [run.id for run in page.runs]
            cursor, pages = page.next, pages + 1

        assert (seen, pages) == (ids[::-1], 3)

    async def test_a_listing_is_filtered_by_each_column(self, do, submit):
        """And by all of them together."""
        mail, other = await submit(idempotency_key="k"), await submit("other.v1")
        await do("cancel", other)

        async def ids(**wanted):
            filters = {"type": None, "state": None, "idempotency_key": None, "limit": 10, "cursor": None}
            return [run.id for run in (await do("list", **filters | wanted)).runs]

        assert await ids(type="other.v1") == [other]
        assert await ids(state=State.PENDING) == [mail]
        assert await ids(idempotency_key="k") == [mail]
        assert await ids(idempotency_key="k", state=State.CANCELLED) == []

    @pytest.mark.parametrize("cursor", ["", "x", "-1", "1; DROP TABLE workflow_run", "9" * 40, "²"])
    async def test_a_cursor_of_nowhere_is_refused(self, do, cursor):
        """One clear error."""
        with pytest.raises(InvalidQuery, match="cursor"):
            await do("list", type=None, state=None, idempotency_key=None, limit=1, cursor=cursor)

    async def test_stats_count_by_type_and_state(self, do, submit, claim):
        """And say since when the oldest due run waits."""
        await submit("other.v1", run_at=NOON - timedelta(minutes=5))
        await submit()
        await submit()
        await claim(limit=1)

        stats = await do("stats")

        assert stats.counts == {
            ("mail.v1", State.LEASED): 1,
            ("mail.v1", State.PENDING): 1,
            ("other.v1", State.PENDING): 1,
        }
        assert stats.oldest_due == NOON - timedelta(minutes=5)

    async def test_a_type_that_is_switched_off_is_left_alone(self, database, do, submit, claim):
        """Registering it again does not switch it on."""
        await submit()
        await do("register", ["mail.v1", "other.v1"])
        off = "UPDATE workflow_registry SET is_enabled = 0 WHERE workflow_name = 'mail.v1'"
        await database.transaction(lambda c: c.execute(off).rowcount)
        await do("register", ["mail.v1", "other.v1"])

        assert await claim() == []

    async def test_the_pulse_changes_with_every_write_and_not_without(self, do, submit):
        """So that an idle poller need not search."""
        before = await do("pulse")
        idle = await do("pulse")
        await submit()

        assert before == idle
        assert await do("pulse") != before


class TestSqliteStore(StoreContract):
    """The suite on a real SQLite file."""

    @pytest.fixture
    async def database(self, tmp_path, anyio_backend):
        async with SqliteDatabase.open(tmp_path / "state.db") as database:
            yield database

    @pytest.fixture
    async def store(self, database, clock):
        store = SqliteStore(clock)
        await database.migrate("inbox", store.steps)
        return store
