"""The store on PostgreSQL: concurrency, zones, and the company of other programs."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.inbox.errors import InboxError
from orchestrator.inbox.store.postgres.connection import rows, texts
from orchestrator.inbox.store.records import ClaimRequest, Failed, Settled, Succeeded
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
    assert len(everything) == len(set(everything)) == 2000


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
