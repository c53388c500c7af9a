"""What every kind of store promises of executions: outcomes, leases, and what is left when they are over."""

from datetime import timedelta

import pytest

from orchestrator.inbox import State
from orchestrator.inbox.store.records import ClaimRequest, Failed, Hold, Released, Settled, Succeeded, Turn
from tests.contracts.conftest import FAIL, NOON, RELEASE, RETRY, SUCCEED


def test_success_stores_the_result(do, submit, claim, settle, history):
    """And ends the lease."""
    run_id = submit()
    (claimed,) = claim()

    assert not settle(claimed, Succeeded("[1]"))

    run = do("get", run_id)
    assert (run.state, run.result, run.leased_by, run.lease_until) == (State.SUCCEEDED, "[1]", None, None)
    assert history(run_id)[-1] == "succeeded"


def test_a_failure_is_tried_again_after_its_wait(do, submit, claim, settle, clock):
    """The failed attempts rise by one and the error is kept, until a success clears it."""
    run_id = submit()
    (claimed,) = claim()

    settle(claimed, RETRY)

    run = do("get", run_id)
    assert (run.state, run.attempt, run.last_error) == (State.PENDING, 1, "Boom: no")
    assert run.run_at == NOON + timedelta(seconds=60)
    assert do("events", run_id)[-1].data == {"attempt": 1, "error": "Boom: no"}
    assert claim() == []
    clock.advance(60)
    (again,) = claim()
    assert again.failures == 1
    settle(again, SUCCEED)
    assert do("get", run_id).last_error is None


def test_a_failure_for_good_is_failed(do, submit, claim, settle, history):
    """It is never claimed again."""
    run_id = submit()
    (claimed,) = claim()

    settle(claimed, FAIL)

    run = do("get", run_id)
    assert (run.state, run.attempt, run.last_error) == (State.FAILED, 1, "Boom: no")
    assert history(run_id)[-1] == "failed"
    assert claim() == []


def test_a_released_run_is_as_if_it_had_never_been_claimed(do, submit, claim, settle):
    """But for the fence, which never falls."""
    run_id = submit()
    (claimed,) = claim()

    settle(claimed, RELEASE)

    run = do("get", run_id)
    assert (run.state, run.attempt, run.claims, run.fence) == (State.PENDING, 0, 0, 1)
    last = do("events", run_id)[-1]
    assert (last.type, last.data) == ("retried", {"reason": "released"})
    assert [again.hold.fence for again in claim()] == [2]


def test_outcomes_of_all_kinds_are_written_in_one_go(do, submit, claim, history):
    """Those that come too late are told apart from the others, which count."""
    ids = [submit() for _ in range(6)]
    claimed = claim()
    do("cancel", ids[4])
    outcomes = [SUCCEED, RETRY, FAIL, RELEASE, SUCCEED, Failed("'quoted' \\ \"text\" {}, é", 0.0)]
    foreign = [Hold(ids[0], "w2", 1), Hold(ids[0], "w1", 2), Hold("no id at all", "w1", 1)]

    lost = do(
        "settle",
        [
            *(Settled(hold, SUCCEED) for hold in foreign),
            *(Settled(run.hold, outcome) for run, outcome in zip(claimed, outcomes, strict=True)),
        ],
    )

    assert lost == {claimed[4].hold, *foreign}
    states = [State.SUCCEEDED, State.PENDING, State.FAILED, State.PENDING, State.CANCELLED, State.PENDING]
    assert [do("get", run_id).state for run_id in ids] == states
    last = [history(run_id)[-1] for run_id in ids]
    assert last == ["succeeded", "retried", "failed", "retried", "cancelled", "retried"]
    assert do("get", ids[5]).last_error == "'quoted' \\ \"text\" {}, é"
    assert {run.hold.run_id for run in claim()} == {ids[3], ids[5]}


def test_the_outcomes_of_several_workers_are_written_in_one_go(do, submit, claim):
    """And their leases renewed."""
    ids = [submit() for _ in range(3)]
    holds = [claim(worker, limit=1)[0].hold for worker in ("w1", "w2", "w3")]
    wrong = Hold(ids[0], "w2", 1)

    renewal = do("heartbeat", [*holds, wrong], 30.0)
    lost = do("settle", [Settled(hold, SUCCEED) for hold in (*holds, wrong)])

    assert (renewal.lost, renewal.cancelled, lost) == ({wrong}, frozenset(), {wrong})
    assert {do("get", run_id).state for run_id in ids} == {State.SUCCEEDED}


def test_a_turn_settles_and_claims_at_once(do, submit, claim):
    """Either half may be missing."""
    first, second = submit(), submit()
    request = ClaimRequest("w1", ["mail.v1"], 1, 30.0)

    begun = do("turn", [], request)
    late = Settled(Hold(second, "w1", 7), SUCCEED)
    both = do("turn", [Settled(begun.claimed[0].hold, SUCCEED), late], request)
    ended = do("turn", [Settled(both.claimed[0].hold, FAIL)], None)
    nothing = do("turn", [], None)

    assert [run.hold for run in begun.claimed] == [Hold(first, "w1", 1)]
    assert [run.hold for run in both.claimed] == [Hold(second, "w1", 1)]
    assert (begun.lost, both.lost, ended) == (frozenset(), {late.hold}, Turn(frozenset(), ()))
    assert nothing == Turn(frozenset(), ())
    assert [do("get", run_id).state for run_id in (first, second)] == [State.SUCCEEDED, State.FAILED]


@pytest.mark.parametrize("late", [SUCCEED, RETRY, FAIL, RELEASE])
@pytest.mark.parametrize("how", ["expired", "claimed by another", "cancelled", "finished", "same worker again"])
def test_whoever_lost_the_lease_changes_nothing(do, submit, claim, settle, clock, late, how):
    """The row and its history stay as they are."""
    run_id = submit()
    (claimed,) = claim()
    if how == "cancelled":
        do("cancel", run_id)
    elif how == "finished":
        settle(claimed, Succeeded('"first"'))
    else:
        clock.advance(31)
        do("sweep", 100)
        if how != "expired":
            assert len(claim("w1" if how == "same worker again" else "w2")) == 1
    before = (do("get", run_id), do("events", run_id))

    assert settle(claimed, late)

    assert (do("get", run_id), do("events", run_id)) == before


def test_an_expired_lease_is_swept_and_counts_as_a_failure(do, submit, claim, clock):
    """A lease that has not expired is left alone."""
    run_id = submit()
    claim(lease=30)

    clock.advance(30)
    early = do("sweep", 100)
    clock.advance(0.001)
    late = do("sweep", 100)

    run = do("get", run_id)
    assert (early.returned, late.returned, late.exhausted) == (0, 1, 0)
    assert (run.state, run.attempt, run.claims) == (State.PENDING, 1, 1)
    assert "'w1'" in run.last_error
    last = do("events", run_id)[-1]
    assert (last.type, last.data["reason"], last.data["worker_id"]) == ("retried", "lease_expired", "w1")
    assert [again.hold.fence for again in claim()] == [2]


def test_a_sweep_takes_so_many_and_the_longest_expired_first(do, submit, claim, clock):
    """The others are for the next one."""
    ids = [submit() for _ in range(3)]
    for lease in (3, 1, 2):
        claim(limit=1, lease=lease)
    clock.advance(10)

    swept = [do("sweep", 2), do("sweep", 2), do("sweep", 2)]

    assert [each.returned for each in swept] == [2, 1, 0]
    assert [do("get", run_id).attempt for run_id in ids] == [1, 1, 1]


def test_a_run_that_kills_its_workers_is_failed(do, submit, claim, clock, history):
    """After its attempts and three crashes more."""
    run_id = submit(max_attempts=1)

    executions = 0
    while claim():
        executions += 1
        clock.advance(31)
        do("sweep", 100)

    run = do("get", run_id)
    assert (executions, run.state) == (4, State.FAILED)
    assert "kills its workers" in run.last_error
    assert history(run_id)[-1] == "failed"


def test_a_run_claimed_too_often_is_refused_and_does_not_stand_in_the_way(do, submit, claim, settle):
    """The others behind it are claimed in the same claim."""
    bad = [submit(max_attempts=1, priority=1) for _ in range(3)]
    for _ in range(4):
        for claimed in claim():
            settle(claimed, Failed("try again", 0.0))
    good = [submit() for _ in range(5)]

    claimed = claim(limit=2)

    assert [run.hold.run_id for run in claimed] == good[:2]
    refused = [do("get", run_id) for run_id in bad]
    assert sorted(run.state for run in refused) == [State.FAILED, State.FAILED, State.FAILED]
    assert all("claimed 4 times" in run.last_error for run in refused)
    assert do("events", bad[0])[-1].data["reason"] == "claimed_too_often"


def test_a_heartbeat_renews_and_tells_what_is_lost_and_what_is_cancelled(do, submit, claim, clock, history):
    """In one unit of work."""
    kept, cancelled = submit(), submit()
    holds = [run.hold for run in claim(lease=30)]
    stale = [Hold(kept, "w1", 0), Hold(kept, "w2", 1), Hold("gone", "w1", 1)]
    do("cancel", cancelled)
    clock.advance(20)

    renewal = do("heartbeat", [*holds, *stale], 30.0)

    assert {hold.run_id for hold in renewal.cancelled} == {cancelled}
    assert renewal.lost == set(stale)
    assert do("get", kept).lease_until == NOON + timedelta(seconds=50)
    assert "heartbeat" not in history(kept)
    assert do("heartbeat", [], 30.0).lost == frozenset()


def test_an_audited_heartbeat_is_part_of_the_history(do, submit, claim):
    """With how long it extended the lease."""
    run_id = submit()
    (claimed,) = claim()

    do("heartbeat", [claimed.hold], 30.0, audit=True)

    last = do("events", run_id)[-1]
    assert (last.type, last.data) == ("heartbeat", {"extended_by_seconds": 30})


def test_a_purge_deletes_what_ended_long_ago_with_its_history(desk, do, submit, claim, settle, clock):
    """In batches, the oldest first; nothing else."""
    old = [submit() for _ in range(3)]
    for claimed in claim():
        settle(claimed, SUCCEED)
    failed = submit()
    settle(claim()[0], FAIL)
    clock.advance(3600)
    recent, pending = submit(), submit(delay=9)
    settle(claim()[0], SUCCEED)
    states = [State.SUCCEEDED, State.CANCELLED]

    deleted = [do("purge", 1800.0, states, 2), do("purge", 1800.0, states, 2), do("purge", 1800.0, states, 2)]

    assert deleted == [2, 1, 0]
    with desk.transaction() as connection:
        left = {str(row[0]) for row in connection.execute("SELECT id FROM workflow_run").fetchall()}
        told = {str(row[0]) for row in connection.execute("SELECT workflow_id FROM workflow_event").fetchall()}
    assert left == told == {failed, recent, pending}
    assert not left & set(old)


@pytest.mark.parametrize("state", [State.PENDING, State.LEASED])
def test_only_what_has_ended_is_purged(do, state):
    """Anything else is refused."""
    with pytest.raises(ValueError, match=f"runs that are {state} are not purged"):
        do("purge", 0.0, [State.FAILED, state], 10)


# What writers do that know nothing of our columns.


def foreign(desk, sql, *values):
    """Execute *sql* as another program would."""
    with desk.transaction() as connection:
        if type(desk).__name__ == "PostgresDesk":
            connection.execute(sql.replace("?", "%s"), values)
        else:
            connection.execute(sql, values)


def test_a_run_of_another_program_is_claimed_like_ours(desk, do, claim):
    """Its producers name the columns of the wire format alone."""
    insert = "INSERT INTO workflow_run (id, type, payload, run_at) VALUES (?, 'mail.v1', '{}', ?)"
    run_id = "6f6d2a0e-8b1c-4a53-9d0e-1c2b3a4d5e6f"
    foreign(
        desk, insert, run_id, "2026-03-01 11:00:00+00" if "Postgres" in type(desk).__name__ else "2026-03-01 11:00:00"
    )

    claimed = claim()

    assert [run.hold for run in claimed] == [Hold(run_id, "w1", 1)]


@pytest.mark.parametrize("status", ["pending", "leased", "succeeded", "failed", "cancelled"])
@pytest.mark.parametrize("outcome", [SUCCEED, FAIL, "cancel"])
def test_a_writer_without_a_fence_does_not_reopen_what_has_ended(desk, do, submit, claim, settle, outcome, status):
    """A stale worker of another program changes nothing."""
    run_id = submit()
    (claimed,) = claim()
    if outcome == "cancel":
        do("cancel", run_id)
    else:
        settle(claimed, outcome)
    before = do("get", run_id)

    foreign(desk, f"UPDATE workflow_run SET status = '{status}', last_error = 'late' WHERE id = ?", run_id)

    assert do("get", run_id) == before


def test_the_claim_of_another_program_raises_the_fence(desk, do, submit, claim, settle, clock):
    """So that our former owner is refused; and its worker's crash is swept as ours is."""
    run_id = submit()
    (claimed,) = claim()
    theirs = "UPDATE workflow_run SET status = 'leased', leased_by = 'go-1', lease_until = lease_until WHERE id = ?"

    foreign(desk, theirs, run_id)

    assert do("get", run_id).fence == 2
    assert settle(claimed, Released())
    assert do("heartbeat", [claimed.hold], 30.0).lost == {claimed.hold}
    clock.advance(31)
    assert do("sweep", 10).returned == 1


def test_the_outcomes_of_another_program_count(desk, do, submit, claim):
    """Its worker claims without a fence and ends without one."""
    run_id = submit()

    foreign(
        desk, "UPDATE workflow_run SET status = 'leased', leased_by = 'go-1', lease_until = run_at WHERE id = ?", run_id
    )
    meanwhile = claim()
    foreign(desk, "UPDATE workflow_run SET status = 'pending', attempt = 1 WHERE id = ?", run_id)
    (ours,) = claim()

    assert meanwhile == []
    assert ours.failures == 1
