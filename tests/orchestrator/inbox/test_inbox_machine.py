"""The states of a run: the table, and the store against a model of it."""

import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from orchestrator.inbox import AlreadyFinished, IllegalMove, LeaseLost, Move, State
from orchestrator.inbox.machine import EVENTS, TERMINAL, TRANSITIONS, after, on_claim, on_expiry, sources
from orchestrator.inbox.records import Hold, NewRun
from orchestrator.inbox.sqlite_schema import STEPS
from orchestrator.inbox.sqlite_store import SqliteStore
from orchestrator.sql import migrations

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@given(st.sampled_from(State), st.sampled_from(Move))
def test_a_move_leads_where_the_table_says_or_nowhere(state, move):
    """IllegalMove names both."""
    if (state, move) in TRANSITIONS:
        assert after(state, move) is TRANSITIONS[state, move]
    else:
        with pytest.raises(IllegalMove, match=f"{move} does not lead anywhere from {state}"):
            after(state, move)


@pytest.mark.parametrize("move", Move)
def test_every_move_starts_somewhere_and_has_an_event_of_the_wire_format(move):
    """Its CHECK knows eight types."""
    wire = {"created", "leased", "started", "heartbeat", "succeeded", "failed", "retried", "cancelled"}

    assert sources(move)
    assert EVENTS[move][0] in wire


def test_only_an_operator_leads_out_of_an_end():
    """A finished run stays finished for everybody else."""
    assert {move for state, move in TRANSITIONS if state in TERMINAL} == {Move.REQUEUE}


@given(st.integers(1, 50), st.integers(1, 50))
def test_crashes_are_bounded_whoever_counts_them(max_attempts, crashes):
    """By claims for our workers, by failures for those of other programs."""
    once_too_often = crashes >= max_attempts + 3

    ours = on_expiry(claims=crashes, attempt=0, max_attempts=max_attempts)
    theirs = on_expiry(claims=0, attempt=crashes - 1, max_attempts=max_attempts)

    assert (ours is Move.EXHAUST) == (theirs is Move.EXHAUST) == once_too_often
    assert (on_claim(claims=crashes, max_attempts=max_attempts) is Move.REFUSE) == once_too_often


@dataclass
class Model:
    """What a run should look like."""

    max_attempts: int
    state: State = State.PENDING
    attempt: int = 0
    claims: int = 0
    fence: int = 0
    owner: str | None = None
    lease_until: datetime | None = None
    run_at: datetime = NOON
    history: list = field(default_factory=lambda: ["created"])

    def move(self, move):
        """Take the row of the table; who leaves a lease leaves its owner."""
        self.state = after(self.state, move)
        self.history.append(EVENTS[move][0])
        if self.state is not State.LEASED:
            self.owner = self.lease_until = None

    def row(self):
        """The columns that are compared."""
        return (self.state, self.attempt, self.claims, self.fence, self.owner, self.lease_until, self.run_at)


class InboxMachine(RuleBasedStateMachine):
    """Producers, two workers, crashes and operators in any order."""

    holds = Bundle("holds")

    def __init__(self):
        super().__init__()
        self.time = NOON
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        migrations.apply(self.connection, "memory", "inbox", STEPS, lambda: NOON)
        self.store = SqliteStore(lambda: self.time)
        self.runs: dict[str, Model] = {}
        self.keys: dict[str, str] = {}

    def teardown(self):
        self.connection.close()

    @contextmanager
    def held(self, hold):
        """The model of the run when *hold* should match; else LeaseLost is expected and the model is None."""
        model = self.runs[hold.run_id]
        if model.state is State.LEASED and (model.owner, model.fence) == (hold.worker, hold.fence):
            yield model
        else:
            with pytest.raises(LeaseLost):
                yield None

    @rule(key=st.none() | st.sampled_from("abc"), max_attempts=st.integers(1, 3), delay=st.sampled_from([0, 0, 45]))
    def submit(self, key, max_attempts, delay):
        run_id = f"{len(self.runs):04}"
        new = NewRun(run_id, "mail.v1", "null", key, 100, float(delay), None, max_attempts)

        (stored,) = self.store.insert(self.connection, [new])

        if key in self.keys:
            assert stored == self.keys[key]
            return
        self.runs[run_id] = Model(max_attempts, run_at=self.time + timedelta(seconds=delay))
        if key is not None:
            self.keys[key] = run_id

    @rule(target=holds, worker=st.sampled_from(["w1", "w2"]), limit=st.integers(1, 3), lease=st.sampled_from([20, 90]))
    def claim(self, worker, limit, lease):
        claimed = self.store.claim(self.connection, worker, ["mail.v1"], limit, lease)

        due = [(run.run_at, id_) for id_, run in self.runs.items() if run.state is State.PENDING]
        expected = []
        for run_at, id_ in sorted(due):
            run = self.runs[id_]
            if run_at > self.time or len(expected) == limit:
                break
            move = on_claim(claims=run.claims, max_attempts=run.max_attempts)
            run.move(move)
            if move is Move.CLAIM:
                run.history.append("started")
                run.claims, run.fence, run.owner = run.claims + 1, run.fence + 1, worker
                run.lease_until = self.time + timedelta(seconds=lease)
                expected.append(Hold(id_, worker, run.fence))
        assert [run.hold for run in claimed] == expected
        return multiple(*expected)

    @rule(hold=holds)
    def succeed(self, hold):
        with self.held(hold) as run:
            self.store.succeed(self.connection, hold, "1")
        if run:
            run.move(Move.SUCCEED)

    @rule(hold=holds, retry_in=st.none() | st.sampled_from([0.0, 60.0]))
    def fail(self, hold, retry_in):
        with self.held(hold) as run:
            self.store.fail(self.connection, hold, "no", retry_in)
        if run:
            run.move(Move.FAIL if retry_in is None else Move.RETRY)
            run.attempt += 1
            if retry_in is not None:
                run.run_at = self.time + timedelta(seconds=retry_in)

    @rule(hold=consumes(holds))
    def release(self, hold):
        with self.held(hold) as run:
            self.store.release(self.connection, hold)
        if run:
            run.move(Move.RELEASE)
            run.claims -= 1

    @rule(hold=holds)
    def heartbeat(self, hold):
        run = self.runs[hold.run_id]
        ours = run.state is State.LEASED and (run.owner, run.fence) == (hold.worker, hold.fence)

        renewal = self.store.heartbeat(self.connection, [hold], 50)

        assert (hold in renewal.cancelled) == (not ours and run.state is State.CANCELLED)
        assert (hold in renewal.lost) == (not ours and run.state is not State.CANCELLED)
        if ours:
            run.lease_until = self.time + timedelta(seconds=50)

    @rule(seconds=st.sampled_from([1, 30, 120]))
    def time_passes(self, seconds):
        self.time += timedelta(seconds=seconds)

    @rule()
    def sweep(self):
        expired = [run for run in self.runs.values() if run.lease_until is not None and run.lease_until < self.time]

        swept = self.store.sweep(self.connection, 1000)

        assert swept.returned + swept.exhausted == len(expired)
        for run in expired:
            run.move(on_expiry(claims=run.claims, attempt=run.attempt, max_attempts=run.max_attempts))
            run.attempt += 1

    @rule(number=st.integers(0, 5), move=st.sampled_from([Move.CANCEL, Move.REQUEUE]))
    def operate(self, number, move):
        run_id = f"{number:04}"
        run = self.runs.get(run_id)
        call = self.store.cancel if move is Move.CANCEL else self.store.requeue
        if run is None or (move is Move.CANCEL and run.state is State.CANCELLED):
            return
        if (run.state, move) not in TRANSITIONS:
            with pytest.raises(AlreadyFinished):
                call(self.connection, run_id)
            return
        call(self.connection, run_id)
        run.move(move)
        if move is Move.REQUEUE:
            run.attempt, run.claims, run.fence, run.run_at = 0, 0, run.fence + 1, self.time

    @rule(number=st.integers(0, 5), status=st.sampled_from(State))
    def a_writer_without_a_fence_cannot_reopen_what_has_ended(self, number, status):
        run_id = f"{number:04}"
        run = self.runs.get(run_id)
        if run is not None and run.state in TERMINAL:
            self.connection.execute("UPDATE workflow_run SET status = ? WHERE id = ?", (status, run_id))

    @invariant()
    def the_store_is_as_the_model(self):
        for run_id, run in self.runs.items():
            row = self.store.get(self.connection, run_id)
            seen = (row.state, row.attempt, row.claims, row.fence, row.leased_by, row.lease_until, row.run_at)
            assert seen == run.row()
            assert [event.type for event in self.store.events(self.connection, run_id)] == run.history
            assert row.claims <= run.max_attempts + 3


TestInboxMachine = InboxMachine.TestCase
