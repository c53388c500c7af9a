"""The states of a run: the table, and the store against a model of it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from orchestrator.inbox import AlreadyFinished, IllegalMove, Move, State
from orchestrator.inbox.machine import EVENTS, TERMINAL, TRANSITIONS, after, on_claim, on_expiry, sources
from orchestrator.inbox.store.records import ClaimRequest, Failed, Hold, NewRun, Released, Settled, Succeeded
from tests.contracts.conftest import PostgresDesk, SqliteDesk

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
    ready: bool = True
    key: str | None = None
    moved_at: datetime = NOON
    history: list = field(default_factory=lambda: ["created"])

    def move(self, move, time):
        """Take the row of the table; who leaves a lease leaves its owner."""
        self.state = after(self.state, move)
        self.moved_at = time
        self.history.append(EVENTS[move][0])
        if self.state is not State.LEASED:
            self.owner = self.lease_until = None

    def row(self):
        """The columns that are compared."""
        return (self.state, self.attempt, self.claims, self.fence, self.owner, self.lease_until, self.run_at)


class InboxMachine(RuleBasedStateMachine):
    """Producers, two workers, crashes and operators in any order."""

    holds = Bundle("holds")

    def __init__(self, open_desk):
        super().__init__()
        self.time = NOON
        self.desk = open_desk(lambda: self.time)
        self.runs: dict[str, Model] = {}
        self.made = 0
        self.keys: dict[str, str] = {}

    def teardown(self):
        self.desk.connection.close()

    def do(self, name, *args):
        """Call a unit of work of the store."""
        with self.desk.transaction() as connection:
            return getattr(self.desk.store, name)(connection, *args)

    def end(self, run_id):
        """A key that is taken by an active run only is free again."""
        key = self.runs[run_id].key
        if key is not None and key.startswith("unique") and self.keys.get(key) == run_id:
            del self.keys[key]

    def take(self, worker, limit, lease):
        """What a claim does to the model."""
        due = sorted((run.run_at, id_) for id_, run in self.runs.items() if run.state is State.PENDING and run.ready)
        expected = []
        for run_at, id_ in due:
            run = self.runs[id_]
            if run_at > self.time or len(expected) == limit:
                break
            move = on_claim(claims=run.claims, max_attempts=run.max_attempts)
            run.move(move, self.time)
            if move is Move.REFUSE:
                self.end(id_)
                continue
            run.history.append("started")
            run.claims, run.fence, run.owner = run.claims + 1, run.fence + 1, worker
            run.lease_until = self.time + timedelta(seconds=lease)
            expected.append(Hold(id_, worker, run.fence))
        return expected

    def settled(self, hold, outcome):
        """What an outcome does to the model; whether it was refused."""
        run = self.runs.get(hold.run_id)
        if run is None or run.state is not State.LEASED or (run.owner, run.fence) != (hold.worker, hold.fence):
            return True
        if isinstance(outcome, Succeeded):
            run.move(Move.SUCCEED, self.time)
        elif isinstance(outcome, Released):
            run.move(Move.RELEASE, self.time)
            run.claims -= 1
        else:
            run.move(Move.FAIL if outcome.retry_in is None else Move.RETRY, self.time)
            run.attempt += 1
            if outcome.retry_in is not None:
                run.run_at = self.time + timedelta(seconds=outcome.retry_in)
                run.ready = outcome.retry_in == 0
        if run.state in TERMINAL:
            self.end(hold.run_id)
        return False

    @rule(
        key=st.none() | st.sampled_from(["a", "b", "unique-a", "unique-b"]),
        max_attempts=st.integers(1, 3),
        delay=st.sampled_from([0, 0, 45]),
    )
    def submit(self, key, max_attempts, delay):
        run_id = f"00000000-0000-0000-0000-{self.made:012}"
        self.made += 1
        unique = key is not None and key.startswith("unique")
        new = NewRun(run_id, "mail.v1", "null", key, 100, float(delay), None, max_attempts, unique)

        (stored,) = self.do("insert", [new])

        assert (stored.id, stored.existed) == (self.keys.get(key, run_id), key in self.keys)
        if stored.existed:
            return
        start = self.time + timedelta(seconds=delay)
        self.runs[run_id] = Model(max_attempts, run_at=start, ready=delay == 0, key=key)
        if key is not None:
            self.keys[key] = run_id

    @rule(target=holds, worker=st.sampled_from(["w1", "w2"]), limit=st.integers(1, 3), lease=st.sampled_from([20, 90]))
    def claim(self, worker, limit, lease):
        claimed = self.do("claim", ClaimRequest(worker, ["mail.v1"], limit, lease))

        expected = self.take(worker, limit, lease)
        assert [run.hold for run in claimed] == expected
        return multiple(*expected)

    @rule(
        target=holds,
        hold=consumes(holds),
        outcome=st.sampled_from(
            [Succeeded("1"), Failed("no", None), Failed("no", 0.0), Failed("no", 60.0), Released()]
        ),
        then=st.booleans(),
    )
    def turn(self, hold, outcome, then):
        pending = [id_ for id_, run in self.runs.items() if run.state is State.PENDING]
        request = ClaimRequest("w1", ["mail.v1"], 1, 30) if then and not pending else None

        turned = self.do("turn", [Settled(hold, outcome)], request)

        assert turned.lost == ({hold} if self.settled(hold, outcome) else set())
        if request is not None and turned.claimed:  # SQLite sees at once what was given back, PostgreSQL with the next
            assert [run.hold for run in turned.claimed] == self.take("w1", 1, 30)
        return multiple(*(run.hold for run in turned.claimed), hold)

    @rule(hold=holds)
    def heartbeat(self, hold):
        run = self.runs.get(hold.run_id)
        ours = run is not None and run.state is State.LEASED and (run.owner, run.fence) == (hold.worker, hold.fence)
        cancelled = run is not None and run.state is State.CANCELLED

        renewal = self.do("heartbeat", [hold], 50)

        assert (hold in renewal.cancelled) == cancelled
        assert (hold in renewal.lost) == (not ours and not cancelled)
        if ours:
            run.lease_until = self.time + timedelta(seconds=50)

    @rule(seconds=st.sampled_from([1, 30, 120]))
    def time_passes(self, seconds):
        self.time += timedelta(seconds=seconds)

    @rule()
    def promote(self):
        waiting = [run for run in self.runs.values() if run.state is State.PENDING and not run.ready]
        due = [run for run in waiting if run.run_at <= self.time]

        promoted = self.do("promote", 1000)

        assert promoted.count == len(due)
        assert (promoted.next_in is None) == (len(waiting) == len(due))
        for run in due:
            run.ready = True

    @rule()
    def sweep(self):
        expired = [id_ for id_, run in self.runs.items() if run.lease_until is not None and run.lease_until < self.time]

        swept = self.do("sweep", 1000)

        assert swept.returned + swept.exhausted == len(expired)
        for id_ in expired:
            run = self.runs[id_]
            run.move(on_expiry(claims=run.claims, attempt=run.attempt, max_attempts=run.max_attempts), self.time)
            run.attempt += 1
            if run.state in TERMINAL:
                self.end(id_)

    @rule(number=st.integers(0, 5), move=st.sampled_from([Move.CANCEL, Move.REQUEUE]))
    def operate(self, number, move):
        run_id = f"00000000-0000-0000-0000-{number:012}"
        run = self.runs.get(run_id)
        call = "cancel" if move is Move.CANCEL else "requeue"
        if run is None or (move is Move.CANCEL and run.state is State.CANCELLED):
            return
        if (run.state, move) not in TRANSITIONS:
            with pytest.raises(AlreadyFinished):
                self.do(call, run_id)
            return
        self.do(call, run_id)
        run.move(move, self.time)
        if move is Move.CANCEL:
            self.end(run_id)
            return
        run.attempt, run.claims, run.fence, run.run_at, run.ready = 0, 0, run.fence + 1, self.time, True
        if run.key is not None:
            self.keys.setdefault(run.key, run_id)

    @rule(states=st.sets(st.sampled_from(sorted(TERMINAL)), min_size=1))
    def purge(self, states):
        old = self.time - timedelta(seconds=100)
        gone = {id_ for id_, run in self.runs.items() if run.state in states and run.moved_at < old}

        deleted = self.do("purge", 100.0, sorted(states), 1000)

        assert deleted == len(gone)
        for id_ in gone:
            del self.runs[id_]
        self.keys = {key: id_ for key, id_ in self.keys.items() if id_ not in gone}

    @rule(number=st.integers(0, 5), status=st.sampled_from(State))
    def a_writer_without_a_fence_cannot_reopen_what_has_ended(self, number, status):
        run_id = f"00000000-0000-0000-0000-{number:012}"
        run = self.runs.get(run_id)
        if run is not None and run.state in TERMINAL:
            with self.desk.transaction() as connection:
                connection.execute(f"UPDATE workflow_run SET status = '{status}' WHERE id = '{run_id}'")

    @invariant()
    def the_store_is_as_the_model(self):
        with self.desk.transaction() as connection:
            for run_id, run in self.runs.items():
                row = self.desk.store.get(connection, run_id)
                seen = (row.state, row.attempt, row.claims, row.fence, row.leased_by, row.lease_until, row.run_at)
                assert seen == run.row()
                told = [event.type for event in self.desk.store.events(connection, run_id)]
                assert told == run.history
                assert row.claims <= run.max_attempts + 3


def test_the_store_on_sqlite_is_as_the_model():
    """Whatever happens in whichever order."""
    run_state_machine_as_test(lambda: InboxMachine(lambda clock: SqliteDesk(":memory:", clock)))


def test_the_store_on_postgresql_is_as_the_model(postgres_url):
    """The same on the other database, with fewer examples."""

    def desk(clock):
        made = PostgresDesk(postgres_url, clock)
        made.connection.execute("TRUNCATE workflow_run, workflow_event")
        return made

    few = settings(max_examples=max(3, settings.default.max_examples // 10), stateful_step_count=30, deadline=None)
    run_state_machine_as_test(lambda: InboxMachine(desk), settings=few)
