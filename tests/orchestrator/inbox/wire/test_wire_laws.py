"""Whatever two programs do to the same runs in whatever order, some things never happen."""

import sqlite3
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import psycopg
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from orchestrator.inbox import AlreadyFinished
from orchestrator.inbox.machine import TERMINAL
from orchestrator.inbox.store.postgres.store import PostgresStore
from orchestrator.inbox.store.records import ClaimRequest, Failed, NewRun, Released, Settled, Succeeded
from orchestrator.inbox.store.sqlite.store import SqliteStore
from orchestrator.sql.migrations import statements
from tests.orchestrator.inbox.wire.foreign import Foreign

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
WORKERS = st.sampled_from(["a", "b"])
OUTCOMES = st.sampled_from([Succeeded('"ours"'), Failed("ours", 3600.0), Failed("ours", None), Released()])


class TwoPrograms(RuleBasedStateMachine):
    """Our store and a client of the other program, on one connection; who holds what is written down beside."""

    store: object
    foreign: Foreign

    def __init__(self):
        super().__init__()
        self.connection = self.connect()
        self.holders = {}
        self.ours, self.theirs = [], []
        self.ended = {}
        numbers = count(1)
        self.new_id = self.foreign.new_id = lambda: str(UUID(int=next(numbers)))

    def connect(self):
        raise NotImplementedError

    @rule(attempts=st.integers(1, 4))
    def submit_ours(self, attempts):
        new = NewRun(self.new_id(), "mail.v1", "1", None, 100, 0.0, LONG_AGO, attempts)
        self.holders[self.store.insert(self.connection, [new])[0].id] = None

    @rule(attempts=st.integers(1, 4))
    def submit_theirs(self, attempts):
        self.holders[self.foreign.submit("mail.v1", 1, run_at=LONG_AGO, max_attempts=attempts)] = None

    @rule(worker=WORKERS)
    def claim_ours(self, worker):
        for claimed in self.store.claim(self.connection, ClaimRequest(worker, ["mail.v1"], 1, 1800.0)):
            assert self.holders[claimed.hold.run_id] is None
            self.holders[claimed.hold.run_id] = claimed.hold
            self.ours.append(claimed.hold)

    @rule(worker=WORKERS, form=st.sampled_from(["go", "python"]))
    def claim_theirs(self, worker, form):
        self.foreign.form = form
        claimed = self.foreign.claim(worker, "mail.%", lease=1800)
        if claimed is not None:
            self.holders[claimed[0]] = claimed
            self.theirs.append(claimed)

    @precondition(lambda self: self.ours)
    @rule(data=st.data(), outcome=OUTCOMES)
    def settle_ours(self, data, outcome):
        hold = data.draw(st.sampled_from(self.ours))
        held = self.holders[hold.run_id] == hold

        lost = self.store.settle(self.connection, [Settled(hold, outcome)])

        assert lost == (frozenset() if held else frozenset({hold}))
        if held:
            self.holders[hold.run_id] = None

    @precondition(lambda self: self.theirs)
    @rule(data=st.data(), how=st.sampled_from(["succeed", "fail", "heartbeat"]))
    def write_theirs(self, data, how):
        claimed = data.draw(st.sampled_from(self.theirs))
        if how == "heartbeat":
            self.foreign.heartbeat(claimed[0], 1800)
            return
        if how == "succeed":
            self.foreign.succeed(claimed[0], "theirs")
        else:
            self.foreign.fail(claimed, "theirs", wait=3600)
        self.holders[claimed[0]] = None  # nobody asked them whose it is

    @precondition(lambda self: self.holders)
    @rule(data=st.data(), ours=st.booleans())
    def cancel(self, data, ours):
        run_id = data.draw(st.sampled_from(sorted(self.holders)))
        if ours:
            try:
                self.store.cancel(self.connection, run_id)
            except AlreadyFinished:
                return
        else:
            self.foreign.cancel(run_id)
        self.holders[run_id] = None

    @rule()
    def renew_ours(self):
        renewal = self.store.heartbeat(self.connection, list(dict.fromkeys(self.ours)), 1800.0)
        lost = {hold for hold in self.ours if self.holders[hold.run_id] != hold}
        assert renewal.lost | renewal.cancelled == lost

    @rule(sweep=st.booleans())
    def hours_pass(self, sweep):
        for column in ("run_at", "lease_until"):
            earlier = f"{column} - interval '4000 seconds'"
            if self.foreign.sqlite:
                earlier = f"strftime('%Y-%m-%d %H:%M:%f000', {column}, '-4000 seconds')"
            self.foreign.run(f"UPDATE workflow_run SET {column} = {earlier}")
        self.store.promote(self.connection, 100)
        if sweep:
            self.store.sweep(self.connection, 100)
            self.holders = dict.fromkeys(self.holders)

    @invariant()
    def what_has_ended_stays_as_it_ended(self):
        rows = self.foreign.rows("SELECT id, status, attempt, result, last_error FROM workflow_run")
        now = {str(row[0]): row[1:] for row in rows}
        assert len(now) == len(self.holders)
        assert {run_id: now[run_id] for run_id in self.ended} == self.ended
        self.ended = {run_id: row for run_id, row in now.items() if row[0] in TERMINAL}

    def teardown(self):
        self.connection.close()


class OnSqlite(TwoPrograms):
    def connect(self):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        self.foreign = Foreign("sqlite", connection=connection)
        self.foreign.migrate()
        self.store = SqliteStore()
        for statement in (each for step in self.store.steps for each in statements(step)):
            connection.execute(statement)
        return connection


def test_two_programs_never_undo_what_has_ended_nor_share_a_lease():
    """On SQLite: no order of claims, late writes, cancellations and crashes does."""
    run_state_machine_as_test(OnSqlite, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))


def test_two_programs_never_undo_what_has_ended_nor_share_a_lease_on_postgresql(postgres_url):
    """The same on PostgreSQL."""
    with psycopg.connect(postgres_url, autocommit=True, options="-c search_path=workflow") as connection:
        foreign = Foreign(postgres_url, connection=connection)
        foreign.migrate()
        store = PostgresStore()
        for step in store.steps:
            connection.execute(step, prepare=False)

        class OnPostgres(TwoPrograms):
            def connect(self):
                connection.execute("TRUNCATE workflow_run, workflow_event")
                self.foreign, self.store = foreign, store
                return connection

            def teardown(self):
                pass

        run_state_machine_as_test(OnPostgres, settings=settings(max_examples=15, stateful_step_count=30, deadline=None))


def test_the_laws_are_broken_without_the_guard():
    """So the machine above can fail."""

    class Unguarded(OnSqlite):
        def connect(self):
            connection = super().connect()
            connection.execute("DROP TRIGGER orchestrator_run_guard")
            return connection

    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            Unguarded, settings=settings(max_examples=200, deadline=None, phases=[Phase.generate])
        )
