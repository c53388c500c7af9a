"""What every kind of store promises of runs: submitting, claiming, and what an operator does with them."""

import json
import uuid
from datetime import timedelta

import pytest

from orchestrator.inbox import AlreadyFinished, InvalidQuery, State, UnknownRun
from orchestrator.inbox.store.records import ClaimRequest, Hold, Stored
from tests.contracts.conftest import FAIL, NOON, SUCCEED


def test_a_new_run_is_pending_and_due_at_once(do, submit, history):
    """It is stored as it was given, with the first line of its history."""
    run_id = submit(payload='{"a":1}', priority=5, max_attempts=7, idempotency_key="k")

    run = do("get", run_id)

    assert (run.type, json.loads(run.payload), run.state, run.priority) == ("mail.v1", {"a": 1}, State.PENDING, 5)
    assert (run.run_at, run.created_at, run.max_attempts, run.idempotency_key) == (NOON, NOON, 7, "k")
    assert (run.attempt, run.claims, run.fence, run.leased_by, run.result) == (0, 0, 0, None, None)
    assert history(run_id) == ["created"]


@pytest.mark.parametrize("size", [1, 7, 2500])
def test_many_are_stored_in_one_go_and_told_in_their_order(do, new, size):
    """Each with its own values, whether its key was known or not."""
    (known,) = do("insert", [new(idempotency_key="known")])
    runs = [new(payload=str(n), idempotency_key=f"k{n % 1000}" if n % 2 else None) for n in range(size)]
    runs.append(new(idempotency_key="known"))

    stored = do("insert", runs)

    first = {run.idempotency_key: run.id for run in reversed(runs[:-1]) if run.idempotency_key}
    expected = [
        Stored(first.get(run.idempotency_key, run.id), first.get(run.idempotency_key, run.id) != run.id) for run in runs
    ]
    assert list(stored) == [*expected[:-1], Stored(known.id, existed=True)]
    assert sum(do("stats").counts.values()) == len({each.id for each in stored})


def test_a_known_key_gives_the_run_that_has_it(do, submit, new, history):
    """Whatever became of that run, and without a second line in its history."""
    first = submit(idempotency_key="k")
    do("cancel", first)

    (again,) = do("insert", [new("other.v1", idempotency_key="k")])

    assert again == Stored(first, existed=True)
    assert history(first) == ["created", "cancelled"]


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel", "exhaust", "refuse"])
def test_a_unique_key_is_free_again_when_its_run_has_ended(do, submit, new, claim, settle, clock, end):
    """However it ended; until then it gives the active run."""
    first = submit(idempotency_key="k", unique=True, max_attempts=1)
    plain = submit(idempotency_key="k")
    (claimed,) = [run for run in claim() if run.hold.run_id == first]
    (meanwhile,) = do("insert", [new(idempotency_key="k", unique=True)])
    if end == "cancel":
        do("cancel", first)
    elif end in ("succeed", "fail"):
        settle(claimed, SUCCEED if end == "succeed" else FAIL)
    else:
        for _ in range(9):
            clock.advance(31)
            do("sweep", 10)
            claim()
    (after,) = do("insert", [new(idempotency_key="k", unique=True)])

    assert meanwhile == Stored(first, existed=True)
    assert not after.existed
    assert len({first, plain, after.id}) == 3
    assert do("get", first).idempotency_key == f"active:k:{first}"


def test_a_requeued_run_takes_its_unique_key_again_unless_another_has_it(do, submit, new):
    """Of two active runs one at most has it."""
    one, other = submit(idempotency_key="k", unique=True), submit(idempotency_key="j", unique=True)
    do("cancel", one)
    do("cancel", other)
    heir = submit(idempotency_key="j", unique=True)

    do("requeue", one)
    do("requeue", other)

    assert do("insert", [new(idempotency_key="k", unique=True)]) == [Stored(one, existed=True)]
    assert do("insert", [new(idempotency_key="j", unique=True)]) == [Stored(heir, existed=True)]
    assert do("get", other).idempotency_key == f"active:j:{other}"


def test_claims_take_the_lowest_priority_then_the_oldest(submit, claim, clock):
    """Among equals the id decides; the types do not."""
    late = submit(priority=10)
    urgent = submit("other.v1", priority=1, delay=0.5)
    early = submit(priority=10, run_at=NOON - timedelta(hours=1))
    tie = submit("third.v1", priority=10)
    clock.advance(1)

    claimed = claim(types=("mail.v1", "third.v1", "other.v1"))

    assert [run.hold.run_id for run in claimed] == [urgent, early, late, tie]


@pytest.mark.parametrize("oldest_first", [False, True])
def test_the_order_holds_over_many_types_and_batches(do, new, claim, clock, oldest_first):
    """Also when one type has nearly all of the urgent runs."""
    runs = [
        new(f"t{n % 7 if n % 3 else 0}.v1", priority=n * 7919 % 5, run_at=NOON - timedelta(seconds=n * 104729 % 977))
        for n in range(300)
    ]
    do("insert", runs)

    claimed = []
    for _ in range(8):
        claimed += [
            run.hold.run_id for run in claim(types=[f"t{n}.v1" for n in range(7)], limit=40, oldest_first=oldest_first)
        ]

    key = (lambda run: (run.run_at, run.id)) if oldest_first else (lambda run: (run.priority, run.run_at, run.id))
    assert claimed == [run.id for run in sorted(runs, key=key)]


def test_an_ageing_claim_takes_the_oldest_whatever_its_priority(submit, claim):
    """So that nothing waits for ever behind urgent work."""
    submit(priority=1)
    old = submit(priority=100, run_at=NOON - timedelta(hours=1))

    claimed = claim(limit=1, oldest_first=True)

    assert [run.hold.run_id for run in claimed] == [old]


def test_a_claim_takes_what_is_due_of_its_types_up_to_its_limit(submit, claim, clock):
    """Not the future, not other types, not one more."""
    submit(delay=60)
    submit("mail.v10")
    submit("mailXv1")
    wanted = [submit(), submit()]
    submit()

    first = claim(limit=2)
    rest = claim(types=("mail.v1", "unknown.v1", "mail.v1"))

    assert [run.hold.run_id for run in first] == wanted
    assert len(rest) == 1
    clock.advance(60)
    assert len(claim()) == 1
    assert claim(types=()) == []


def test_a_prefix_brings_the_types_that_begin_with_it_to_the_letter(submit, claim):
    """Wildcards of LIKE mean themselves, and what is excluded or begins otherwise is left alone."""
    wanted = [submit("my_app.a.v1"), submit("my_app.b.v1"), submit("other.v1")]
    for left in ("myXapp.job.v1", "my_app", "my_apq.v1", "MY_APP.a.v1", "my_app.not.v1", "other.v11"):
        submit(left)

    claimed = claim(types=("other.v1",), prefixes=("my_app.", "100%", "gone."), excluded=("my_app.not.v1",))

    assert sorted(run.hold.run_id for run in claimed) == wanted


def test_future_runs_are_promoted_when_their_time_has_come(do, submit, clock):
    """Until then a claim does not see them, and the store says how long that is."""
    empty = do("promote", 10)
    soon, later = submit(delay=30, priority=1), submit(run_at=NOON + timedelta(hours=1))
    before = do("promote", 10)
    clock.advance(30)

    unseen = do("claim", ClaimRequest("w1", ["mail.v1"], 10, 30.0))
    promoted = do("promote", 10)
    seen = do("claim", ClaimRequest("w1", ["mail.v1"], 10, 30.0))

    assert (empty.count, empty.next_in) == (0, None)
    assert (before.count, before.next_in) == (0, pytest.approx(30))
    assert (promoted.count, promoted.next_in) == (1, pytest.approx(3570))
    assert ([run.hold.run_id for run in seen], list(unseen)) == ([soon], [])
    assert do("get", later).state is State.PENDING


def test_promotions_come_in_batches(do, submit, clock):
    """The longest due first, and what is left is due now."""
    for delay in (3, 1, 2):
        submit(delay=delay)
    clock.advance(5)

    first, second, third = do("promote", 2), do("promote", 2), do("promote", 2)

    assert [(each.count, each.next_in) for each in (first, second, third)] == [(2, 0.0), (1, None), (0, None)]


def test_a_claimed_run_is_leased_to_its_worker(do, submit, claim, history):
    """The fence and the claims rise, the failed attempts do not."""
    run_id = submit(payload='"x"')

    (claimed,) = claim(lease=45)

    run = do("get", run_id)
    assert claimed.hold == Hold(run_id, "w1", 1)
    assert (claimed.type, claimed.payload, claimed.failures, claimed.max_attempts) == ("mail.v1", b'"x"', 0, 3)
    assert (run.state, run.leased_by, run.lease_until) == (State.LEASED, "w1", NOON + timedelta(seconds=45))
    assert (run.fence, run.claims, run.attempt) == (1, 1, 0)
    assert history(run_id) == ["created", "leased", "started"]
    assert [event.data for event in do("events", run_id)][1:] == [
        {"worker_id": "w1", "attempt": 0},
        {"worker_id": "w1"},
    ]
    assert claim("w2") == []


def test_a_run_that_another_program_deleted_is_never_claimed(desk, submit, claim):
    """Nor found."""
    run_id = submit()
    with desk.transaction() as connection:
        connection.execute("UPDATE workflow_run SET deleted_at = created_at")

    assert claim() == []
    with desk.transaction() as connection, pytest.raises(UnknownRun):
        desk.store.get(connection, run_id)


def test_a_type_that_is_switched_off_is_left_alone(desk, do, submit, claim):
    """Also when a prefix names it; registering it again does not switch it on."""
    submit()
    do("register", ["mail.v1", "other.v1"])
    with desk.transaction() as connection:
        connection.execute("UPDATE workflow_registry SET is_enabled = false WHERE workflow_name = 'mail.v1'")
    do("register", ["mail.v1", "other.v1"])

    assert claim() == []
    assert claim(types=("other.v1",), prefixes=("ma",)) == []


def test_a_pending_or_leased_run_can_be_cancelled_once(do, submit, claim, settle, history):
    """A second time changes nothing; a finished run cannot be cancelled."""
    pending, leased, done = submit(delay=60), submit(), submit()
    claimed = claim()

    do("cancel", pending)
    do("cancel", pending)
    do("cancel", leased)
    settle(claimed[1], SUCCEED)

    assert [do("get", id_).state for id_ in (pending, leased)] == [State.CANCELLED] * 2
    assert history(pending) == ["created", "cancelled"]
    with pytest.raises(AlreadyFinished, match="succeeded"):
        do("cancel", done)


@pytest.mark.parametrize("how", ["failed", "cancelled", "cancelled before its time"])
def test_an_ended_run_can_be_requeued_with_new_counters(do, submit, claim, settle, how):
    """It is due at once, and a late writer of its former life is still refused."""
    run_id = submit(delay=60 if how == "cancelled before its time" else 0)
    claimed = claim()
    if how == "failed":
        settle(claimed[0], FAIL)
    else:
        do("cancel", run_id)

    do("requeue", run_id)

    run = do("get", run_id)
    assert (run.state, run.attempt, run.claims, run.run_at) == (State.PENDING, 0, 0, NOON)
    assert do("events", run_id)[-1].data == {"reason": "operator"}
    with pytest.raises(AlreadyFinished, match="pending"):
        do("requeue", run_id)
    again = do("claim", ClaimRequest("w2", ["mail.v1"], 10, 30.0))
    assert [each.hold.run_id for each in again] == [run_id]
    assert all(settle(late, SUCCEED) for late in claimed)


@pytest.mark.parametrize("call", ["get", "events", "cancel", "requeue"])
@pytest.mark.parametrize("run_id", ["nobody", str(uuid.UUID(int=99)), ""])
def test_an_unknown_run_is_said_to_be_unknown(do, call, run_id):
    """With its id."""
    with pytest.raises(UnknownRun, match=repr(run_id)):
        do(call, run_id)


def test_a_listing_pages_through_all_runs_newest_first(do, submit):
    """Each run is on one page, and the last page has no next."""
    ids = [submit() for _ in range(5)]
    filters = {"type": None, "state": None, "idempotency_key": None, "limit": 2}

    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        page = do("list", **filters, cursor=cursor)
        seen += [run.id for run in page.runs]
        cursor, pages = page.next, pages + 1

    assert (seen, pages) == (ids[::-1], 3)


def test_a_listing_is_filtered_by_each_column(do, submit):
    """And by all of them together; a unique key is found by its plain name."""
    mail, other = submit(idempotency_key="k"), submit("other.v1")
    unique = submit(idempotency_key="u", unique=True)
    do("cancel", other)

    def ids(**wanted):
        filters = {"type": None, "state": None, "idempotency_key": None, "limit": 10, "cursor": None}
        return [run.id for run in do("list", **filters | wanted).runs]

    assert ids(type="other.v1") == [other]
    assert ids(state=State.PENDING) == [unique, mail]
    assert ids(idempotency_key="k") == [mail]
    assert ids(idempotency_key="u") == [unique]
    assert ids(idempotency_key="k", state=State.CANCELLED, type="mail.v1") == []


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1; DROP TABLE workflow_run", "9" * 40, "²"])
def test_a_cursor_of_nowhere_is_refused(do, cursor):
    """One clear error."""
    with pytest.raises(InvalidQuery, match="cursor"):
        do("list", type=None, state=None, idempotency_key=None, limit=1, cursor=cursor)


def test_stats_count_by_type_and_state(do, submit, claim, settle):
    """And say since when the oldest due run waits; what has ended may be left out."""
    submit("other.v1", run_at=NOON - timedelta(minutes=5))
    submit()
    submit()
    submit()
    submit(delay=60)
    first, _ = claim(limit=2)
    settle(first, SUCCEED)
    alive = {("mail.v1", State.LEASED): 1, ("mail.v1", State.PENDING): 2, ("other.v1", State.PENDING): 1}

    assert do("stats").counts == alive | {("mail.v1", State.SUCCEEDED): 1}
    assert do("stats", ended=False).counts == alive
    assert do("stats").oldest_due == NOON - timedelta(minutes=5)
