"""The store on PostgreSQL: concurrency, zones, and the company of other programs."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.inbox.errors import InboxError
from orchestrator.inbox.machine import State
from orchestrator.inbox.store.postgres.connection import rows, texts
from orchestrator.inbox.store.records import ClaimRequest, Failed, Settled, Succeeded
from orchestrator.inbox.worker.executions import Ended
from orchestrator.inbox.worker.round import Round
from tests.orchestrator.inbox.conftest import IDS, new


def test_claims_commit_without_waiting_for_the_disk_and_outcomes_wait(connection, store):
    """A crash of the server loses a claim at most."""
    store.insert(connection, [new(), new()])
    request = ClaimRequest("w1", ["mail.v1"], 1, 30.0)

    def setting():
        return connection.execute("SHOW synchronous_commit").fetchone()[0]

    with connection.transaction():
        claimed = store.claim(connection, request)
        alone = setting()
    with connection.transaction():
        store.turn(connection, [Settled(claimed[0].hold, Succeeded("1"))], request)
        joined = setting()

    assert (alone, joined, setting()) == ("off", "on", "on")


def test_eight_workers_on_one_backlog_never_get_the_same_run(connect, store):
    """All runs are claimed, each once, however the claims meet."""
    with ThreadPoolExecutor(8) as pool:
        store.insert(connect(), [new(f"mail{n % 5}.v1") for n in range(2000)])
        connections = [connect() for _ in range(8)]
        barrier = threading.Barrier(8)

        def work(number):
            barrier.wait()
            types = (
                [f"mail{n}.v1" for n in range(5)] if number % 2 else [f"mail{number % 5}.v1", "mail4.v1", "mail1.v1"]
            )
            mine, idle = [], 0
            while idle < 20:
                with connections[number].transaction():
                    request = ClaimRequest(f"w{number}", types, 20, 30.0, oldest_first=number == 3)
                    claimed = store.claim(connections[number], request)
                mine += [run.hold.run_id for run in claimed]
                idle = 0 if claimed else idle + 1
            return mine

        claims = list(pool.map(work, range(8)))

    everything = [run_id for mine in claims for run_id in mine]
    found = "SELECT type, status, ready, max(run_at) - now(), count(*) FROM workflow.workflow_run GROUP BY 1, 2, 3"
    assert len(everything) == len(set(everything)) == 2000, (
        f"the workers claimed {[len(mine) for mine in claims]}; there are {connect().execute(found).fetchall()}"
    )


def test_what_another_transaction_holds_is_skipped(connect, store):
    """A full batch is found behind it."""
    one, other = connect(), connect()
    store.insert(one, [new() for _ in range(100)])
    with one.transaction():
        first = store.claim(one, ClaimRequest("w1", ["mail.v1"], 40, 30.0))
        with other.transaction():
            second = store.claim(other, ClaimRequest("w2", ["mail.v1", "none.v1"], 40, 30.0))

    assert len(first) == len(second) == 40
    assert not {run.hold.run_id for run in first} & {run.hold.run_id for run in second}


@pytest.mark.parametrize("held", [["mail0.v1"], ["mail0.v1", "mail1.v1"]], ids=["one type", "two types"])
def test_types_that_another_transaction_holds_whole_hide_no_other_type(connect, store, held):
    """They are the first of the backlog, and stay so for as long as that worker takes, which may be frozen."""
    one, other = connect(), connect()
    for kind in held:
        store.insert(one, [new(kind) for _ in range(20)])
    store.insert(one, [new(f"mail{2 + n % 2}.v1") for n in range(40)])
    types = [f"mail{n}.v1" for n in range(4)]
    with one.transaction():
        first = store.claim(one, ClaimRequest("w1", held, 20 * len(held), 30.0))
        with other.transaction():
            second = store.claim(other, ClaimRequest("w2", types, 20, 30.0))
        with other.transaction():
            capped = store.claim(other, ClaimRequest("w2", types, 20, 30.0, caps={"mail2.v1": 1, "mail3.v1": 3}))
        with other.transaction():
            third = store.claim(other, ClaimRequest("w2", (), 20, 30.0, prefixes=["mail"]))

    assert {run.type for run in first} == set(held)
    assert len(second) == 20
    assert {run.type for run in second} == {"mail2.v1", "mail3.v1"}
    assert Counter(run.type for run in capped) == {"mail2.v1": 1, "mail3.v1": 3}
    assert len({run.hold.run_id for run in [*first, *second, *capped, *third]}) == 20 * len(held) + 40


def test_a_claim_is_full_when_the_types_that_nobody_holds_have_enough(connect, store):
    """However few these are: who gets fewer runs than it wants takes that for the end of the backlog."""
    one, other = connect(), connect()
    held = [f"held{n}.v1" for n in range(9)]
    store.insert(one, [new(kind) for kind in held for _ in range(20)])
    store.insert(one, [new("free.v1") for _ in range(50)])
    with one.transaction():
        first = store.claim(one, ClaimRequest("w1", held, 200, 30.0))
        with other.transaction():
            full = store.claim(other, ClaimRequest("w2", [*held, "free.v1"], 35, 30.0))
        with other.transaction():
            capped = store.claim(other, ClaimRequest("w2", [*held, "free.v1"], 35, 30.0, caps={"free.v1": 13}))

    assert (len(first), len(full), len(capped)) == (180, 35, 13)
    assert len({run.hold.run_id for run in [*first, *full, *capped]}) == 180 + 35 + 13


def test_of_what_makes_up_for_held_types_the_most_urgent_comes_first(connect, store):
    """As among those that nobody holds."""
    one, other = connect(), connect()
    store.insert(one, [new("held.v1")._replace(priority=1) for _ in range(20)])
    store.insert(one, [new("late.v1")._replace(priority=9) for _ in range(20)])
    store.insert(one, [new("soon.v1")._replace(priority=5) for _ in range(5)])
    with one.transaction():
        store.claim(one, ClaimRequest("w1", ["held.v1"], 20, 30.0))
        with other.transaction():
            claimed = store.claim(other, ClaimRequest("w2", ["late.v1", "soon.v1", "held.v1"], 8, 30.0))

    assert [run.type for run in claimed] == ["soon.v1"] * 5 + ["late.v1"] * 3


def until_waiting(connection, looker):
    """Until the statement of *connection* waits for a lock, as *looker* sees it."""
    waits = "SELECT FROM pg_locks WHERE pid = %s AND NOT granted"
    while not looker.execute(waits, [connection.info.backend_pid]).fetchall():
        pass


def test_runs_that_somebody_changes_while_a_claim_is_under_way_are_claimed_all_the_same(connect, store):
    """Its statement sees them as they were, and what it cannot take is no end of the backlog."""
    worker, operator, somebody = connect(), connect(), connect()
    store.insert(worker, [new("done.v1"), *(new() for _ in range(30))])
    with worker.transaction():
        (done,) = store.claim(worker, ClaimRequest("w1", ["done.v1"], 1, 30.0))
    request = ClaimRequest("w1", ["mail.v1", "none.v1"], 20, 30.0)
    query = store.turning([Settled(done.hold, Succeeded("1"))], request)

    def turn():
        with worker.transaction():
            return query.read(rows(worker, query.statement, query.values))

    with ThreadPoolExecutor(1) as pool:
        with somebody.transaction():
            somebody.execute("SELECT FROM workflow.workflow_run WHERE id = %s FOR UPDATE", [done.hold.run_id])
            first = pool.submit(turn)
            until_waiting(worker, operator)
            operator.execute("UPDATE workflow.workflow_run SET priority = 7 WHERE status = 'pending'")
        told = first.result(30)
    with worker.transaction():
        again = store.turn(worker, (), request)

    assert (told.lost, list(told.claimed), told.refused) == (frozenset(), [], 20)
    assert len(again.claimed) == 20


def test_an_outcome_that_waits_for_a_lock_keeps_nothing_that_became_due_from_the_others(connect, store):
    """A worker makes claimable what is due when nothing in its transaction has to wait any more."""
    worker, other, somebody = connect(), connect(), connect()
    store.insert(worker, [new(), new("late.v1")])
    other.execute("UPDATE workflow.workflow_run SET ready = false WHERE type = 'late.v1'")
    with worker.transaction():
        (held,) = store.claim(worker, ClaimRequest("w1", ["mail.v1"], 1, 30.0))
    ended = Ended(SimpleNamespace(claimed=held), Succeeded("1"))

    def settle():
        with worker.transaction():
            return Round(store, [ended], None, promote=True)(worker)

    with ThreadPoolExecutor(1) as pool:
        with somebody.transaction():
            somebody.execute("SELECT FROM workflow.workflow_run WHERE id = %s FOR UPDATE", [held.hold.run_id])
            settled = pool.submit(settle)
            until_waiting(worker, somebody)
            with other.transaction():
                promoted = store.promote(other, 10)
        done = settled.result(30)

    assert promoted.count == 1
    assert (done.turn.lost, done.promoted.count) == (frozenset(), 0)


def test_a_row_that_somebody_has_locked_keeps_no_other_lease_from_its_renewal(connect, store):
    """It is told apart from what is lost, and renewed when it is asked for again."""
    worker, somebody = connect(options="-c lock_timeout=100"), connect()
    store.insert(worker, [new() for _ in range(3)])
    with worker.transaction():
        locked, free, gone = (run.hold for run in store.claim(worker, ClaimRequest("w1", ["mail.v1"], 3, 30.0)))
    with somebody.transaction():
        store.cancel(somebody, gone.run_id)
    with somebody.transaction():
        somebody.execute("SELECT FROM workflow.workflow_run WHERE id = %s FOR UPDATE", [locked.run_id])
        with worker.transaction():
            renewal = store.heartbeat(worker, [locked, free, gone], 900.0)
        until = [store.get(worker, hold.run_id).lease_until for hold in (locked, free)]
    with worker.transaction():
        again = store.heartbeat(worker, [locked], 900.0)

    assert (renewal.lost, renewal.cancelled, renewal.locked) == (frozenset(), {gone}, {locked})
    assert (until[1] - until[0]).total_seconds() > 800
    assert (again.lost, again.cancelled, again.locked) == (frozenset(),) * 3
    assert store.get(worker, locked.run_id).lease_until >= until[1]


def test_submits_that_share_keys_do_not_wait_for_each_other_in_a_circle(connect, store):
    """Whatever their order; each key has one run in the end."""
    connections = [connect() for _ in range(4)]

    def work(number):
        found = {}
        for _ in range(10):
            runs = [new(key=f"k{n}") for n in range(50)]
            runs = runs[::-1] if number % 2 else runs
            with connections[number].transaction():
                stored = store.insert(connections[number], runs)
            found |= {run.idempotency_key: each.id for run, each in zip(runs, stored, strict=True)}
        return found

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))

    assert results[0] == results[1] == results[2] == results[3]
    assert connections[0].execute("SELECT count(*) FROM workflow.workflow_run").fetchone() == (50,)


def test_heartbeats_and_outcomes_that_meet_do_not_wait_for_each_other_in_a_circle(connect, store):
    """Whatever their order."""
    one, other = connect(), connect()
    for _ in range(10):
        store.insert(one, [new() for _ in range(200)])
        with one.transaction():
            holds = [run.hold for run in store.claim(one, ClaimRequest("w1", ["mail.v1"], 200, 30.0))]
        barrier = threading.Barrier(2)

        def renew(holds=holds, barrier=barrier):
            barrier.wait()
            with one.transaction():
                return store.heartbeat(one, holds, 30.0)

        def settle(holds=holds, barrier=barrier):
            barrier.wait()
            with other.transaction():
                return store.settle(other, [Settled(hold, Succeeded("1")) for hold in reversed(holds)])

        with ThreadPoolExecutor(2) as pool:
            renewal, lost = (each.result() for each in (pool.submit(renew), pool.submit(settle)))
        assert lost == frozenset()
        assert renewal.lost <= {*holds}


def of_totals(worker, limit=9, **totals):
    """A claim of the types ``a.v1``, ``b.v1`` and so on with their totals."""
    totals = {f"{name}.v1": total for name, total in totals.items()}
    return ClaimRequest(worker, list(totals), limit, 30.0, totals=totals)


@pytest.fixture
def impatient(connect):
    """A connection on which nothing may wait for another one."""
    return connect(options="-c statement_timeout=2s")


def test_a_type_that_a_frozen_worker_is_counting_is_left_out_and_everything_else_is_done(connect, store, impatient):
    """Its claim is not committed. Outcomes are kept, other types claimed, and it is told what was left out."""
    frozen = connect()
    store.insert(frozen, [new(kind) for kind in ("a.v1", "b.v1", "c.v1") for _ in range(4)])
    with impatient.transaction():
        (held,) = store.claim(impatient, of_totals("w2", 1, c=1))

    with frozen.transaction():
        store.turn(frozen, (), of_totals("w1", 1, a=3))
        with impatient.transaction():
            outcomes = [Settled(held.hold, Succeeded("1"))]
            turn = store.turn(impatient, outcomes, of_totals("w2", a=3, b=2, c=1))
    with impatient.transaction():
        later = store.turn(impatient, (), of_totals("w2", a=3, b=2, c=1))

    assert Counter(run.type for run in turn.claimed) == {"b.v1": 2, "c.v1": 1}
    assert (turn.lost, turn.contended) == (frozenset(), {"a.v1"})
    assert store.get(impatient, held.hold.run_id).state is State.SUCCEEDED
    assert Counter(run.type for run in later.claimed) == {"a.v1": 2}
    assert later.contended == frozenset()


def test_a_type_of_which_nothing_is_to_be_had_keeps_nobody_off_it(connect, store, impatient):
    """With nothing due, or with its total full, there is nothing to count, and nobody need look again."""
    frozen = connect()
    store.insert(frozen, [new("full.v1") for _ in range(3)])
    with frozen.transaction():
        store.claim(frozen, of_totals("w1", full=1))

    with frozen.transaction():
        idle = store.turn(frozen, (), of_totals("w1", none=1, full=1))
        store.insert(impatient, [new("none.v1")])
        with impatient.transaction():
            turn = store.turn(impatient, (), of_totals("w2", none=1, full=1))

    assert (list(idle.claimed), idle.contended) == ([], frozenset())
    assert ([run.type for run in turn.claimed], turn.contended) == (["none.v1"], frozenset())


@pytest.mark.parametrize(("theirs", "within"), [("0", "5s"), ("1min", "5s"), ("2s", "2s"), ("700ms", "700ms")])
def test_who_counts_may_be_idle_in_its_transaction_for_seconds_only(connect, store, theirs, within):
    """The server ends a worker that is frozen there, and with it what keeps the others from the type."""
    name = "idle_in_transaction_session_timeout"
    connection = connect(options=f"-c {name}={theirs}")
    store.insert(connection, [new("a.v1")])

    def setting():
        return connection.execute(f"SHOW {name}").fetchone()[0]

    with connection.transaction():
        store.claim(connection, of_totals("w1", none=3))
        without = setting()
        store.claim(connection, of_totals("w1", a=3))
        counting = setting()

    assert (without, counting, setting()) == (theirs, within, theirs)


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo"])
def test_times_mean_the_same_whatever_the_zone_of_the_session(connection, store, zone):
    """A plain submit is due at once, and a time comes back as it was given."""
    connection.execute(f"SET timezone = '{zone}'")
    at = datetime(2030, 7, 1, 12, tzinfo=UTC)
    plain, later = (each.id for each in store.insert(connection, [new(), new()._replace(run_at=at)]))

    with connection.transaction():
        claimed = store.claim(connection, ClaimRequest("w1", ["mail.v1"], 9, 30.0))
        store.settle(connection, [Settled(claimed[0].hold, Failed("no", 60.0))])

    assert [run.hold.run_id for run in claimed] == [plain]
    assert store.get(connection, later).run_at == at
    retried = store.get(connection, plain)
    assert (retried.run_at - retried.updated_at).total_seconds() == 60


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_texts_of_any_kind_come_through_as_an_array(connection, values):
    """Quotes, backslashes, braces, NULL and the empty one."""
    ((came,),) = rows(connection, "SELECT %(values)s::text[]", {"values": texts(values)})

    assert came == values


def test_a_key_that_the_transaction_cannot_see_is_one_clear_error(connect, store):
    """A caller with a stricter isolation level is told so."""
    one, other = connect(), connect()
    other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

    with other.transaction():
        other.execute("SELECT 1 FROM workflow.workflow_run")
        store.insert(one, [new(key="k")])
        with pytest.raises((InboxError, psycopg.errors.SerializationFailure)), other.transaction():
            store.insert(other, [new(key="k")])


# Other programs.

THEIRS = """
CREATE SCHEMA workflow;
CREATE TABLE workflow.workflow_run (id UUID PRIMARY KEY DEFAULT gen_random_uuid(), type TEXT NOT NULL,
    payload JSONB NOT NULL, status TEXT NOT NULL DEFAULT 'pending'
    CHECK (status IN ('pending', 'leased', 'succeeded', 'failed', 'cancelled')), priority INT NOT NULL DEFAULT 100,
    run_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), idempotency_key TEXT UNIQUE, attempt INT NOT NULL DEFAULT 0,
    max_attempts INT NOT NULL DEFAULT 3, leased_by TEXT, lease_until TIMESTAMPTZ, last_error TEXT, result JSONB,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    deleted_at TIMESTAMPTZ);
CREATE INDEX idx_workflow_run_claim ON workflow.workflow_run (status, run_at, priority, created_at)
    WHERE status = 'pending';
CREATE INDEX idx_workflow_run_idempotency ON workflow.workflow_run (idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE TABLE workflow.workflow_event (id BIGSERIAL PRIMARY KEY,
    workflow_id UUID NOT NULL REFERENCES workflow.workflow_run (id) ON DELETE CASCADE, event_type TEXT NOT NULL,
    data JSONB, created_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
CREATE INDEX idx_workflow_event_type ON workflow.workflow_event (event_type, created_at DESC);
CREATE TABLE workflow.workflow_registry (workflow_name TEXT PRIMARY KEY, intent_type TEXT NOT NULL DEFAULT 'workflow',
    runtime TEXT NOT NULL, is_enabled BOOLEAN NOT NULL DEFAULT true, description TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(), updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW());
INSERT INTO workflow.workflow_registry (workflow_name, runtime) VALUES ('content.ocr.v1', 'python');
INSERT INTO workflow.workflow_run (id, type, payload, run_at) VALUES
    ('00000000-0000-0000-0000-000000000001', 'mail.v1', '{"a": 1}', now()),
    ('00000000-0000-0000-0000-000000000002', 'mail.v1', '[]', now() + interval '1 hour');
INSERT INTO workflow.workflow_event (workflow_id, event_type) VALUES ('00000000-0000-0000-0000-000000000001', 'created')
"""


def test_a_database_of_another_program_is_taken_over_with_its_data(postgres_url, store):
    """Its runs and their history stay, its producers go on submitting, and a second migration changes nothing."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(THEIRS, prepare=False)

        for step in [*store.steps, *store.steps]:
            connection.execute(step, prepare=False)

        store.register(connection, ["mail.v1", "content.ocr.v1"])
        with connection.transaction():
            claimed = store.claim(connection, ClaimRequest("w1", ["mail.v1"], 9, 30.0))
        assert [(run.hold.run_id[-1], json.loads(run.payload)) for run in claimed] == [("1", {"a": 1})]
        assert store.events(connection, claimed[0].hold.run_id)[0].type == "created"
        submit = (
            "INSERT INTO workflow.workflow_run (id, type, payload, idempotency_key) VALUES (%s, 'mail.v1', '{}', 'k') "
            "ON CONFLICT (idempotency_key) DO NOTHING RETURNING id"
        )
        assert connection.execute(submit, [IDS()]).fetchall()
        assert not connection.execute(submit, [IDS()]).fetchall()
        names = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = 'workflow'").fetchall()
        assert not [name for (name,) in names if name.startswith(("idx_workflow_run", "idx_workflow_event"))]
        left = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'workflow'::regnamespace"
        assert connection.execute(left).fetchone() == (0,)


def test_a_run_of_the_future_that_another_program_stored_waits_outside_the_claims(connection, store):
    """So does one that its worker puts off."""
    insert = (
        "INSERT INTO workflow.workflow_run (id, type, payload, run_at) "
        "VALUES (%s, 'mail.v1', '{}', now() + %s::interval)"
    )
    late, due = IDS(), IDS()
    connection.execute(insert, [late, "1 hour"])
    connection.execute(insert, [due, "0"])
    with connection.transaction():
        claimed = store.claim(connection, ClaimRequest("w1", ["mail.v1"], 9, 30.0))
    connection.execute(
        "UPDATE workflow.workflow_run SET status = 'pending', run_at = now() + interval '1 hour' WHERE id = %s", [due]
    )

    ready = connection.execute("SELECT id::text, ready FROM workflow.workflow_run ORDER BY id").fetchall()
    assert [run.hold.run_id for run in claimed] == [due]
    assert ready == [(late, False), (due, False)]
    connection.execute("UPDATE workflow.workflow_run SET run_at = now()")
    with connection.transaction():
        assert store.promote(connection, 10).count == 2


def test_settings_of_a_turn_end_with_its_transaction(connection, store):
    """The pool's next user has its own."""
    before = connection.execute("SHOW enable_seqscan").fetchone()

    with connection.transaction():
        store.turn(connection, [Settled(run.hold, Failed("x", 1.0)) for run in ()], ClaimRequest("w", ["a"], 1, 1.0))

    assert connection.execute("SHOW enable_seqscan").fetchone() == before
