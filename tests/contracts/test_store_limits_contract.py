"""What every kind of store promises of limited types, of the time that runs waited, and of what is kept with a run."""

from collections import Counter
from datetime import timedelta
from threading import Thread

import psycopg
import pytest

from orchestrator.inbox import State
from orchestrator.inbox.store.postgres.store import PostgresStore
from orchestrator.inbox.store.records import ClaimRequest, Hold, Released, Settled
from tests.contracts.conftest import FAIL, NOON, RETRY, SUCCEED

A, B, C = "a.v1", "b.v1", "c.v1"


@pytest.fixture
def backlog(do, new):
    """Ten runs of each of three types; those of the first are the most urgent, those of the last the least."""
    do("insert", [new(kind, priority=priority) for priority, kind in enumerate((A, B, C)) for _ in range(10)])


@pytest.mark.parametrize(
    ("caps", "limit", "expected"),
    [
        ({A: 3}, 10, {A: 3, B: 7}),
        ({A: 0}, 10, {B: 10}),
        ({A: 10, B: 2}, 30, {A: 10, B: 2, C: 10}),
        ({A: 50}, 5, {A: 5}),
        ({A: 0, B: 0, C: 0}, 5, {}),
        ({A: 1, B: 1, C: 1}, 30, {A: 1, B: 1, C: 1}),
        ({"other.v1": 1}, 12, {A: 10, B: 2}),
    ],
)
@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_claim_takes_no_more_of_a_type_than_its_cap_and_fills_up_with_others(
    backlog, claim, caps, limit, expected, oldest_first
):
    """A limited type starves nobody, however urgent its runs are."""
    claimed = claim(types=(A, B, C), limit=limit, caps=caps, oldest_first=oldest_first)

    found = Counter(run.type for run in claimed)
    if oldest_first and limit < 30 and caps == {"other.v1": 1}:
        expected = found  # all are of one age; their ids decide
    assert found == Counter(expected)
    assert len({run.hold for run in claimed}) == len(claimed)


def test_a_cap_holds_for_one_type_alone_and_for_those_of_a_prefix(backlog, claim):
    """However the types are asked for."""
    assert len(claim(types=(A,), limit=5, caps={A: 2})) == 2
    assert len(claim(types=(A,), limit=5, caps={A: 0})) == 0
    found = Counter(run.type for run in claim(types=(), prefixes=("b.", "c."), limit=9, caps={B: 1, C: 0}))

    assert found == {B: 1}


def test_runs_that_are_refused_do_not_loosen_a_cap(backlog, do, claim, clock):
    """What was claimed too often is failed on the way, and others of its type come in its place."""
    for _ in range(6):
        claim(types=(A,), limit=2)
        clock.advance(31)
        do("sweep", 100)

    claimed = claim(types=(A, B), limit=4, caps={A: 3})

    assert Counter(run.type for run in claimed) == {A: 3, B: 1}
    failed = do("list", type=A, state=State.FAILED, idempotency_key=None, limit=50, cursor=None)
    assert len(failed.runs) in (0, 2)


def test_a_total_counts_what_all_workers_hold(backlog, claim, settle):
    """Room comes with the end of a run, in the same turn."""
    first = claim(types=(A, B), limit=2, totals={A: 3})
    second = claim("w2", types=(A, B), limit=3, totals={A: 3})
    third = claim("w3", types=(A, B), limit=3, totals={A: 3})
    settle(first[0], SUCCEED)
    fourth = claim("w3", types=(A,), limit=3, totals={A: 3})

    kinds = [Counter(run.type for run in claimed) for claimed in (first, second, third, fourth)]
    assert kinds == [{A: 2}, {A: 1, B: 2}, {B: 3}, {A: 1}]


def test_a_turn_that_ends_a_run_may_take_the_next_of_its_total(backlog, do, claim):
    """What is settled is seen by the count. Nothing is left out where nobody else claims."""
    (held,) = claim(types=(A,), limit=1, totals={A: 1})

    turn = do("turn", [Settled(held.hold, SUCCEED)], ClaimRequest("w1", [A], 5, 30.0, totals={A: 1}))

    assert (turn.lost, len(turn.claimed), turn.contended) == (frozenset(), 1, frozenset())


def test_a_total_and_a_cap_hold_together(backlog, claim):
    """The smaller of the two."""
    assert len(claim(types=(A,), limit=9, caps={A: 2}, totals={A: 5})) == 2
    assert len(claim("w2", types=(A,), limit=9, caps={A: 4}, totals={A: 5})) == 3


def test_workers_that_claim_at_the_same_time_stay_within_the_total(postgres_url):
    """Sixteen claims from four connections, for three places."""
    store = PostgresStore()
    with psycopg.connect(postgres_url, autocommit=True) as first:
        first.execute("CREATE SCHEMA workflow")
        for step in store.steps:
            first.execute(step, prepare=False)
        first.execute(
            "INSERT INTO workflow.workflow_run (type, payload) SELECT 'a.v1', '1' FROM generate_series(1, 99)"
        )
    claimed = []

    def work(name):
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            for _ in range(4):
                with connection.transaction():
                    claimed.extend(store.claim(connection, ClaimRequest(name, [A], 2, 30.0, totals={A: 3})))

    threads = [Thread(target=work, args=(f"w{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == 3


def test_a_claim_tells_how_long_its_run_was_due(submit, claim, clock):
    """Since its own time, not since it was stored."""
    submit(run_at=NOON - timedelta(seconds=90))
    submit(delay=20)
    clock.advance(25)

    assert sorted(round(run.waited, 3) for run in claim()) == [5.0, 115.0]


def test_what_is_kept_with_a_run_outlives_its_attempts(do, submit, claim, settle, clock):
    """A failure, an expired lease, a release; it goes with success."""
    run_id = submit(max_attempts=9)
    found = [do("checkpoint", run_id)]
    for number, outcome in enumerate((RETRY, Released(), None)):
        (held,) = claim()
        assert do("keep", held.hold, b"\0state %d" % number) is True
        if outcome is not None:
            settle(held, outcome)
        clock.advance(61)
        do("sweep", 10)
        found.append(do("checkpoint", run_id))
    (held,) = claim()
    assert do("keep", held.hold, None) is True
    found.append(do("checkpoint", run_id))
    do("keep", held.hold, b"last")
    settle(held, SUCCEED)
    found.append(do("checkpoint", run_id))

    assert found == [None, b"\0state 0", b"\0state 1", b"\0state 2", None, None]


def test_a_run_that_failed_for_good_keeps_its_state_for_an_operator_who_retries_it(do, submit, claim, settle):
    """It goes on from there."""
    run_id = submit()
    (held,) = claim()
    do("keep", held.hold, b"half")
    settle(held, FAIL)
    do("requeue", run_id)

    assert do("checkpoint", run_id) == b"half"


def test_a_worker_that_lost_its_lease_keeps_nothing(do, submit, claim, clock):
    """Nor does one whom nobody knows."""
    run_id = submit()
    (held,) = claim()
    clock.advance(31)
    do("sweep", 10)
    (heir,) = claim("w2")
    do("keep", heir.hold, b"heir")

    assert do("keep", held.hold, b"late") is False
    assert do("keep", Hold("no-such-run", "w1", 1), b"x") is False
    assert (do("checkpoint", run_id), do("checkpoint", "no-such-run")) == (b"heir", None)
