"""What happens to handlers that are late, stall, hang, lose their lease or keep how far they got."""

import logging
import re
from dataclasses import dataclass, replace

import anyio
import pytest

from longrun.testing import block
from orchestrator.contracts import Kill, Nudge, Stall
from orchestrator.inbox import Handlers, Intent, State
from orchestrator.inbox.store.sqlite.store import SqliteStore
from orchestrator.sql import StatementTimeout
from tests.orchestrator.inbox.worker.virtual.conftest import now

pytestmark = pytest.mark.anyio


async def ends(inbox, run_id, within=300):
    """Wait until *run_id* is neither pending nor leased."""
    with anyio.fail_after(within):
        while (await inbox.get(run_id)).state in (State.PENDING, State.LEASED):  # noqa: ASYNC110 - it asks the store
            await anyio.sleep(max(0.1, within / 3000))  # who waits for long looks less often
    return await inbox.get(run_id)


async def test_a_stalled_run_is_nudged_and_then_killed_and_tried_again(inbox, poller_of, during, caplog):
    """Its handler and the log have the nudge; a kill is a failure that passes."""
    seen = []

    async def escalate(run):
        seen.append((run.task, run.attempt, run.note))
        return Nudge("hurry up") if len(seen) == 1 else Kill("too slow")

    async def work(run):
        if run.attempt > 1:
            return "done"
        run.progress("begun")
        while True:
            await anyio.sleep(0.3)
            seen.extend(run.nudges[len([each for each in seen if isinstance(each, str)]) :])

    run_id = await inbox.submit("mail.v1", 1)
    stall = Stall(expected=2, backstop=10, escalate=escalate)
    async with during(poller_of(work, stall=stall)):
        run = await ends(inbox, run_id)

    assert seen == [("mail.v1", 1, "begun"), "hurry up", ("mail.v1", 1, "begun")]
    assert (run.state, run.attempt) == (State.SUCCEEDED, 1)
    assert "hurry up" in caplog.text
    assert "the run of 'mail.v1' was killed: too slow" in caplog.text


async def test_a_run_past_its_backstop_is_killed_without_anybody_being_asked(inbox, poller_of, during):
    """And stops renewing: nobody finds it leased."""

    async def work(run):
        await anyio.sleep_forever()

    run_id = await inbox.submit("mail.v1", 1, max_attempts=1)
    async with during(poller_of(work, stall=Stall(expected=3))):
        run = await ends(inbox, run_id)

    assert run.state is State.FAILED
    assert "RunKilled" in run.last_error


async def test_a_handler_that_ignores_its_cancellation_is_named_and_loses_its_slot(inbox, poller_of, during, caplog):
    """Others go on; what it says at last counts for nothing."""
    free = anyio.Event()

    async def work(run):
        if run.payload == "hang":
            with anyio.CancelScope(shield=True):
                await free.wait()
        return run.payload

    poller = poller_of(work, timeout=2, concurrency=1)
    stuck = await inbox.submit("mail.v1", "hang", max_attempts=1)
    other = await inbox.submit("mail.v1", "next")
    async with during(poller):
        assert (await ends(inbox, other)).result == '"next"'
        run = await ends(inbox, stuck)
        free.set()

    assert (run.state, run.result) == (State.FAILED, None)
    assert "ran longer than its timeout of 2 s" in run.last_error
    assert "intent.abandoned" in caplog.text
    assert "await free.wait()" in caplog.text
    assert poller.statistics.abandoned == {"mail.v1": 1}


async def test_leases_are_renewed_together_and_only_those_that_are_older_than_a_third(
    inbox, database, poller_of, during
):
    """One statement for all that began together."""
    done = anyio.Event()

    async def work(run):
        await done.wait()

    await inbox.submit_many([Intent("mail.v1", number) for number in range(10)])
    async with during(poller_of(work, lease=30, poll_interval=1000)):
        await anyio.sleep(1)
        before = database.transactions
        await anyio.sleep(44)
        renewals = database.transactions - before
        rows = database.connection.execute("SELECT DISTINCT fence, attempt FROM workflow_run").fetchall()
        done.set()

    assert [tuple(row) for row in rows] == [(1, 0)]
    assert renewals <= 5 + 45 / 5  # and the sweeps


async def test_a_worker_that_cannot_renew_stops_its_handlers_before_the_lease_ends(inbox, database, poller_of, during):
    """Another worker may have the run a moment later."""
    stopped = []

    async def work(run):
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(anyio.current_time() - began)

    await inbox.submit("mail.v1", 1)
    async with during(poller_of(work, lease=30, drain=0.1)):
        await anyio.sleep(1)
        began = anyio.current_time() - 1
        database.down = True
        await anyio.sleep(40)
        database.down = False

    assert len(stopped) == 1
    assert 20 <= stopped[0] < 30


class Locked(SqliteStore):
    """As a server's while an operator has the rows of the runs with the ids *locked*."""

    locked = frozenset()

    def heartbeat(self, connection, holds, lease, *, audit=False):
        locked = frozenset(hold for hold in holds if hold.run_id in self.locked)
        free = [hold for hold in holds if hold not in locked]
        return replace(super().heartbeat(connection, free, lease, audit=audit), locked=locked)


@pytest.mark.parametrize(("seconds", "stops"), [(20, 0), (40, 1)], ids=["for a while", "beyond its lease"])
async def test_a_run_whose_row_is_locked_loses_its_lease_alone_and_only_when_that_takes_too_long(
    inbox, poller_of, during, seconds, stops
):
    """Its handler is stopped in time; nothing is known of it before, so what the handler asks is answered calmly."""
    inbox.store = Locked(now)
    may_end, stopped = anyio.Event(), []

    async def work(run):
        began = anyio.current_time()
        try:
            while not may_end.is_set():
                await anyio.sleep(7)
                await run.heartbeat()
                assert not await run.is_cancelled()
        except anyio.get_cancelled_exc_class():
            stopped.append((run.id, anyio.current_time() - began))
            raise

    locked, other = await inbox.submit_many([Intent("mail.v1", number) for number in range(2)])
    async with during(poller_of(work, lease=30)):
        await anyio.sleep(1)
        inbox.store.locked = frozenset([locked])
        await anyio.sleep(seconds)
        inbox.store.locked = frozenset()
        may_end.set()
        runs = [await ends(inbox, run_id) for run_id in (locked, other)]

    assert [(run.state, run.fence) for run in runs] == [(State.SUCCEEDED, 1 + stops), (State.SUCCEEDED, 1)]
    assert [run_id for run_id, _ in stopped] == [locked] * stops
    assert all(20 <= at < 30 for _, at in stopped)


class SlowOnce(SqliteStore):
    """Takes too long over the first outcomes, as a server whose disk is busy."""

    slow = True

    def turn(self, connection, outcomes, request):
        if outcomes and self.slow:
            self.slow = False
            raise StatementTimeout("it took too long", "here")
        return super().turn(connection, outcomes, request)


async def test_an_outcome_that_was_held_up_is_tried_again_while_its_lease_may_still_be_ours(inbox, poller_of, during):
    """However short that is: nobody renews it any more, and others give back what they find expired."""
    inbox.store = SlowOnce(now)

    async def work(run):
        """Nothing."""

    run_id = await inbox.submit("mail.v1", 1)
    async with during(poller_of(work, lease=1)):
        await anyio.sleep(1.5)
        await inbox.database.transaction(lambda connection: inbox.store.sweep(connection, 10))
        run = await ends(inbox, run_id)

    assert (run.state, run.fence) == (State.SUCCEEDED, 1)


async def test_an_event_loop_that_was_blocked_beyond_the_lease_renews_before_it_gives_up(inbox, poller_of, during):
    """The run goes on when nobody has taken it meanwhile."""
    may_end = anyio.Event()

    async def work(run):
        await may_end.wait()
        return "done"

    run_id = await inbox.submit("mail.v1", 1)
    async with during(poller_of(work, lease=30)):
        await anyio.sleep(1)
        block(40)
        await anyio.sleep(1)
        may_end.set()
        run = await ends(inbox, run_id)

    assert (run.state, run.fence, run.attempt) == (State.SUCCEEDED, 1, 0)


async def test_outcomes_outlive_an_outage_of_the_database(inbox, database, poller_of, during, caplog):
    """They are kept and stored when it is back; claims wait for longer and longer."""

    async def work(run):
        await anyio.sleep(1)
        database.down = True
        return "kept"

    poller = poller_of(work)
    run_id = await inbox.submit("mail.v1", 1)
    async with during(poller):
        await anyio.sleep(15)
        database.down = False
        run = await ends(inbox, run_id)

    assert (run.state, run.result, run.attempt) == (State.SUCCEEDED, '"kept"', 0)
    assert 4 <= poller.statistics.errors["DatabaseBusy"] <= 15
    assert "inbox.poll_failed" in caplog.text


async def test_the_log_of_an_outage_says_when_kept_outcomes_are_tried_again(inbox, database, poller_of, during, caplog):
    """Sooner than claims, of which it speaks when there are none."""

    async def work(run):
        database.down = True
        return "kept"

    run_id = await inbox.submit("mail.v1", 1)
    async with during(poller_of(work)):
        await anyio.sleep(15)
        database.down = False
        await ends(inbox, run_id)
        of_outcomes = _waits_of(caplog)
        caplog.clear()
        database.down = True
        await anyio.sleep(15)
        database.down = False
    of_claims = _waits_of(caplog)

    assert (of_outcomes[0], of_outcomes == sorted(of_outcomes)) == (0.1, True)
    assert max(of_outcomes) <= 4.4
    assert (0.9 <= of_claims[0] <= 1.1, max(of_claims) > 4.4) == (True, True)


def _waits_of(caplog):
    return [float(said) for said in re.findall(r"again in ([0-9.]+) s", caplog.text)]


async def test_a_poller_that_ends_in_an_outage_drops_outcomes_loudly(inbox, database, poller_of, during, caplog):
    """Until then it kept them; now the lease brings the run to another worker."""

    async def work(run):
        database.down = True
        return "too late"

    poller = poller_of(work, lease=10)
    await inbox.submit("mail.v1", 1)
    async with during(poller):
        await anyio.sleep(30)
        poller.stop()

    assert poller.statistics.completed == {("mail.v1", "dropped"): 1}
    assert "intent.outcome_lost" in caplog.text


async def test_an_outcome_that_the_database_refuses_fails_its_run_and_no_other(inbox, database, poller_of, during):
    """They shared a transaction."""
    settle = inbox.store.settle

    def refusing(connection, outcomes):
        if any(getattr(each.outcome, "result", "") == '"poison"' for each in outcomes):
            raise OverflowError("a number is too large")
        return settle(connection, outcomes)

    inbox.store.settle = refusing

    async def work(run):
        return run.payload

    bad, good = await inbox.submit_many([Intent("mail.v1", "poison"), Intent("mail.v1", "fine")])
    async with during(poller_of(work)):
        good, bad = await ends(inbox, good), await ends(inbox, bad)

    assert (good.state, bad.state) == (State.SUCCEEDED, State.FAILED)
    assert "the database refused the outcome of the handler: OverflowError" in bad.last_error


async def test_a_checkpoint_is_found_by_the_next_attempt_and_gone_after_success(inbox, database, poller_of, during):
    """A state that the throttle held back is written when the attempt fails."""
    found = []

    async def work(run):
        found.append(await run.checkpoint.load())
        await run.checkpoint.save({"page": run.attempt})
        await run.checkpoint.save({"page": run.attempt, "row": 7})
        if run.attempt < 3:
            raise ConnectionError("away")

    run_id = await inbox.submit("mail.v1", 1)
    async with during(poller_of(work)):
        await ends(inbox, run_id, 3000)

    assert found == [None, {"page": 1, "row": 7}, {"page": 2, "row": 7}]
    assert await database.read(lambda connection: inbox.store.checkpoint(connection, run_id)) is None


async def test_a_handler_may_ask_whether_it_is_cancelled(inbox, database, poller_of, during):
    """And is cancelled at once when it does not ask."""
    told, ended = [], []

    async def work(run):
        try:
            with anyio.CancelScope(shield=True):
                told.append(await run.is_cancelled())
                database.connection.execute("UPDATE workflow_run SET status = 'cancelled' WHERE id = ?", (run.id,))
                told.append(await run.is_cancelled())
            await inbox.cancel(run.id)
            await anyio.sleep_forever()
        finally:
            ended.append(run.stopping)

    run_id = await inbox.submit("mail.v1", 1)
    async with during(poller_of(work)):
        with anyio.fail_after(20):
            while not ended:  # noqa: ASYNC110 - it asks the store
                await anyio.sleep(0.1)

    assert (told, ended) == ([False, True], [False])
    assert (await inbox.get(run_id)).state is State.CANCELLED


async def test_what_was_claimed_ahead_is_given_back_at_a_stop(inbox, poller_of, during):
    """Untouched, and without cost."""
    begun = 0
    may_end = anyio.Event()

    async def work(run):
        nonlocal begun
        begun += 1
        if begun > 40:
            await may_end.wait()

    ids = await inbox.submit_many([Intent("mail.v1", number) for number in range(200)])
    poller = poller_of(work, concurrency=4)
    async with during(poller):
        while begun < 44:  # noqa: ASYNC110 - it asks the store
            await anyio.sleep(0.01)
        leased = (await inbox.stats()).counts["mail.v1", State.LEASED]
        poller.stop()
        may_end.set()

    counts = (await inbox.stats()).counts
    assert leased > 4
    assert counts == {("mail.v1", State.SUCCEEDED): 44, ("mail.v1", State.PENDING): 156}
    assert {(await inbox.get(run_id)).claims for run_id in ids if (await inbox.get(run_id)).state is State.PENDING} == {
        0
    }


async def test_slow_handlers_are_claimed_as_many_as_there_are_slots(inbox, poller_of, during):
    """The others stay for other workers."""

    async def work(run):
        await anyio.sleep(1)

    await inbox.submit_many([Intent("mail.v1", number) for number in range(30)])
    async with during(poller_of(work, concurrency=4)):
        await anyio.sleep(2.5)
        counts = (await inbox.stats()).counts

    assert counts["mail.v1", State.LEASED] <= 4


async def test_a_type_without_a_handler_is_given_back_and_told_once(inbox, poller_of, during, caplog):
    """It is not offered to this worker again."""
    seen = []

    async def work(run):
        seen.append(run.type)

    async def rest(run):
        seen.append(f"rest {run.type}")

    handlers = Handlers().add("billing.a.v1", work).prefix("billing.b.", rest)
    strange = await inbox.submit_many([Intent("billing.c.v1", 1), Intent("billing.c.v1", 2)])
    await inbox.submit_many([Intent("billing.a.v1", 1), Intent("billing.b.v1", 1), Intent("other.v1", 1)])
    async with during(poller_of(handlers, prefixes=["billing."], poll_interval=1)):
        await anyio.sleep(10)

    runs = [await inbox.get(run_id) for run_id in strange]
    assert sorted(seen) == ["billing.a.v1", "rest billing.b.v1"]
    assert [(run.state, run.claims, run.attempt) for run in runs] == [(State.PENDING, 0, 0)] * 2
    assert [run.fence for run in runs] <= [1, 1]
    assert caplog.text.count("inbox.no_handler") == 1


async def test_a_saturated_type_starves_nobody_and_is_not_polled_in_a_hurry(inbox, database, poller_of, during):
    """Its place is taken in the moment it is free."""
    seen = []

    async def limited(run):
        seen.append(anyio.current_time())
        await anyio.sleep(20)

    async def other(run):
        pass

    handlers = Handlers().add("limited.v1", limited, concurrency=1).add("other.v1", other)
    ids = await inbox.submit_many([Intent("limited.v1", n, priority=1) for n in range(3)])
    others = await inbox.submit_many([Intent("other.v1", n) for n in range(20)])
    async with during(poller_of(handlers, concurrency=4)):
        for run_id in others:
            await ends(inbox, run_id, 2)
        before = database.transactions
        await anyio.sleep(10)
        hurry = database.transactions - before
        await ends(inbox, ids[-1])

    assert hurry <= 12
    assert [round(after - seen[0]) for after in seen] == [0, 20, 40]


async def test_a_rate_lets_so_many_start_in_its_time_and_no_more(inbox, database, poller_of, during):
    """Without a poll in between."""
    from orchestrator.inbox.worker.limits import Rate

    seen = []

    async def work(run):
        seen.append(round(anyio.current_time() - began))

    ids = await inbox.submit_many([Intent("mail.v1", number) for number in range(8)])
    began = anyio.current_time()
    async with during(poller_of(work, rate=Rate(4, 20.0), poll_interval=1000)):
        await anyio.sleep(24)

    assert seen == [0, 0, 0, 0, 20, 20, 20, 20]
    assert len(ids) == 8


@dataclass
class Order:
    """What a shop submits."""

    number: int
    lines: list[str]


async def test_a_payload_becomes_what_its_handler_asked_for(inbox, poller_of, during):
    """And its result may be a dataclass too; what does not fit is failed at once, with the field and the remedy."""
    seen = []

    async def work(run):
        seen.append(run.payload)
        return run.payload

    good = await inbox.submit("mail.v1", {"number": 7, "lines": ["a"]})
    bad = await inbox.submit("mail.v1", {"number": "seven", "lines": "a"})
    async with during(poller_of(work, payload=Order)):
        fine, failed = await ends(inbox, good), await ends(inbox, bad)

    assert (seen, fine.result) == ([Order(7, ["a"])], '{"number":7,"lines":["a"]}')
    assert (failed.state, failed.attempt) == (State.FAILED, 1)
    for part in ("does not fit Order", "number: Input should be a valid integer", "lines: ", "submit it anew"):
        assert part in failed.last_error


async def test_an_idle_poller_hardly_asks(inbox, database, poller_of, during):
    """A claim per interval and a sweep now and then; the pulse is a read."""

    async def work(run):
        pass

    async with during(poller_of(work)):
        await anyio.sleep(10)
        before = database.transactions
        await anyio.sleep(100)
        asked = database.transactions - before

    assert asked <= 80


async def test_a_poller_counts_what_it_does(inbox, poller_of):
    """By type, with how long runs waited; and samples the queue."""

    async def work(run):
        if run.payload == "bad":
            raise PermissionError("no")
        if run.payload == "later":
            raise ConnectionError("away")

    poller = poller_of(work)
    await inbox.submit_many([Intent("mail.v1", what) for what in ("fine", "bad", "later")])
    await inbox.submit("mail.v1", 1, delay=500)
    await anyio.sleep(3)
    await poller.poll()
    sample = await poller.sample()

    counted = poller.statistics
    assert counted.claimed == {"mail.v1": 3}
    assert counted.completed["mail.v1", "succeeded"] == 1
    assert counted.failed_attempts == {"mail.v1": 2}
    assert counted.pickup["mail.v1"].count == 3
    assert 9 <= counted.pickup["mail.v1"].sum < 9.5
    assert sample.stats.counts["mail.v1", State.PENDING] >= 2
    assert sample.oldest_age == 0
    assert logging.getLogger("orchestrator.inbox") is poller.logger


async def test_an_escalator_need_not_forget_a_run_that_never_stalled(inbox, poller_of, during):
    """Nobody has asked it about that one."""

    class Remembering:
        def __init__(self):
            self.asked, self.forgotten = [], []

        async def __call__(self, run):
            self.asked.append(run.id)

        def forget(self, run_id):
            self.forgotten.append(run_id)

    async def work(run):
        await anyio.sleep(run.payload)

    escalate = Remembering()
    quick, slow = [await inbox.submit("mail.v1", seconds) for seconds in (1, 3)]
    async with during(poller_of(work, stall=Stall(expected=2, backstop=10, escalate=escalate))):
        for run_id in (quick, slow):
            await ends(inbox, run_id)

    assert set(escalate.asked) == {slow}
    assert escalate.forgotten == [slow]


async def test_who_frees_the_place_of_a_total_tells_the_other_workers_of_its_process(inbox, poller_of, during):
    """They do not wait for their next look; on a server they are notified."""
    started = []

    async def work(run):
        started.append(round(anyio.current_time() - began))
        await anyio.sleep(10)

    leaving, staying = (
        poller_of(work, total=1, poll_interval=1000, drain=100, worker_id=name) for name in ("leaving", "staying")
    )
    began = anyio.current_time()
    ids = await inbox.submit_many([Intent("mail.v1", number) for number in range(2)])
    async with during(leaving):
        await anyio.sleep(1)
        async with during(staying):
            await anyio.sleep(1)
            leaving.stop()
            await ends(inbox, ids[1])

    assert started == [0, 10]
