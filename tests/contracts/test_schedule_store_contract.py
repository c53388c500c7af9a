"""What every kind of store promises of schedules."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest

from orchestrator.inbox.errors import InvalidQuery, UnknownSchedule
from orchestrator.inbox.store.postgres.schedules import PostgresSchedules
from orchestrator.inbox.store.schedules import Fire, NewSchedule
from orchestrator.inbox.store.sqlite.schedules import SqliteSchedules
from tests.contracts.conftest import NOON, PostgresDesk

HOUR = timedelta(hours=1)


@pytest.fixture
def schedules(desk, clock):
    """A store of schedules beside that of the runs."""
    numbers = count(1000)

    def ids():
        return str(UUID(int=next(numbers)))

    if isinstance(desk, PostgresDesk):
        return PostgresSchedules(desk.store, ids, "work flow", now="current_setting('test.now')::timestamptz")
    return SqliteSchedules(desk.store, ids, clock)


@pytest.fixture
def call(desk, schedules):
    """Call a unit of work in a transaction of its own."""

    def work(name, *args, **options):
        with desk.transaction() as connection:
            return getattr(schedules, name)(connection, *args, **options)

    return work


@pytest.fixture
def create(call):
    """Store a schedule; the ids count up."""
    numbers = count(1)

    def work(**options):
        new = NewSchedule(str(UUID(int=next(numbers))), "report.v1", '{"a":1}', "0 * * * *", NOON)
        return call("insert", replace(new, **options))

    return work


@pytest.fixture
def tick(desk, schedules, clock):
    """Fire what is due, hourly."""

    def work(limit=10, **changes):
        with desk.transaction() as connection:
            found = schedules.due(connection, limit)
            fires = [Fire(each, [each.next_run_at], clock.time + HOUR) for each in found]
            return schedules.advance(connection, [replace(fire, **changes) for fire in fires])

    return work


def test_a_schedule_is_stored_as_it_was_given(call, create):
    """Switched on."""
    schedule_id = create(timezone="Asia/Tokyo", priority=5, max_attempts=1, misfire="all", next_run_at=NOON + HOUR)

    one = call("get", schedule_id)

    assert (one.type, json.loads(one.payload), one.cron, one.timezone) == (
        "report.v1",
        {"a": 1},
        "0 * * * *",
        "Asia/Tokyo",
    )
    assert (one.priority, one.max_attempts, one.misfire, one.enabled, one.last_error) == (5, 1, "all", True, None)
    assert (one.next_run_at, one.last_run_at, one.created_at) == (NOON + HOUR, None, NOON)


@pytest.mark.parametrize("payload", ["[1]", '"text"', "7", "true", "null", "{}"])
def test_a_due_schedule_becomes_one_run(do, call, create, tick, history, payload):
    """With a key that tells its fire, whatever JSON its payload is; then it waits for the next one."""
    schedule_id = create(payload=payload, priority=5, max_attempts=9)

    (stored,) = tick().runs
    nothing = tick()

    run = do("get", stored.id)
    assert (run.type, run.payload, run.priority, run.max_attempts) == ("report.v1", payload, 5, 9)
    assert run.idempotency_key == f"schedule:{schedule_id}:{int(NOON.timestamp())}"
    assert (run.run_at, history(stored.id)) == (NOON, ["created"])
    one = call("get", schedule_id)
    assert (one.next_run_at, one.last_run_at) == (NOON + HOUR, NOON)
    assert not nothing.runs


def test_no_fire_is_doubled_by_another_ticker(desk, schedules, create):
    """Nor by one that comes late with what it found before."""
    create()
    with desk.transaction() as connection:
        (found,) = schedules.due(connection, 10)
    fire = Fire(found, [NOON - HOUR, NOON], NOON + HOUR)

    with desk.transaction() as connection:
        first = schedules.advance(connection, [fire])
    with desk.transaction() as connection:
        late = schedules.advance(connection, [fire])

    assert ([each.existed for each in first.runs], late.runs) == ([False, False], [])


def test_the_longest_due_come_first_and_all_of_them_in_the_end(create, tick, call):
    """However small the limit."""
    ids = [create(next_run_at=NOON - timedelta(minutes=n)) for n in range(25)]
    create(next_run_at=NOON + HOUR)

    rounds = [len(tick(limit=10).runs) for _ in range(4)]

    assert rounds == [10, 10, 5, 0]
    assert {call("get", id_).next_run_at for id_ in ids} == {NOON + HOUR}


def test_one_that_cannot_be_fired_is_parked_and_stops_nobody(desk, schedules, create, call, do):
    """With the reason, until somebody resumes it."""
    before, bad, hopeless, after = create(), create(), create(), create()
    with desk.transaction() as connection:
        found = {each.id: each for each in schedules.due(connection, 10)}
        fires = [Fire(found[id_], [NOON], NOON + HOUR) for id_ in (before, bad, hopeless, after)]
        fires[1] = replace(fires[1], schedule=replace(found[bad], type=None))
        fires[2] = replace(fires[2], next_run_at=None, error="31 February never comes")
        advanced = schedules.advance(connection, fires)

    assert len(advanced.runs) == 2
    assert set(advanced.parked) == {bad, hopeless}
    assert [call("get", id_).enabled for id_ in (before, bad, hopeless, after)] == [True, False, False, True]
    assert "type" in call("get", bad).last_error
    assert call("get", hopeless).last_error == "31 February never comes"
    assert sum(do("stats").counts.values()) == 2
    call("resume", hopeless, NOON + HOUR)
    assert (call("get", hopeless).enabled, call("get", hopeless).last_error) == (True, None)


def test_whoever_cannot_be_fired_is_found_among_many(desk, schedules, create, call, do):
    """Each of them is parked, and none beside them."""
    ids = [create() for _ in range(20)]
    bad = {ids[3], ids[4], ids[19]}
    with desk.transaction() as connection:
        found = schedules.due(connection, 20)
        fires = [Fire(each, [NOON - HOUR, NOON], NOON + HOUR) for each in found]
        fires = [
            replace(fire, schedule=replace(fire.schedule, type=None)) if fire.schedule.id in bad else fire
            for fire in fires
        ]
        advanced = schedules.advance(connection, fires)

    assert set(advanced.parked) == bad
    assert len(advanced.runs) == sum(do("stats").counts.values()) == 34
    assert {id_ for id_ in ids if not call("get", id_).enabled} == bad


def test_an_update_puts_a_schedule_in_the_place_of_another(call, create):
    """On or off, it stays; its error is gone."""
    schedule_id, off = create(), create()
    call("pause", off)
    other = NewSchedule(schedule_id, "other.v1", "[2]", "5 * * * *", NOON + HOUR, "Asia/Tokyo", 7, 9, "skip")

    call("update", other)
    call("update", replace(other, id=off))

    one = call("get", schedule_id)
    assert (one.type, json.loads(one.payload), one.cron, one.timezone) == ("other.v1", [2], "5 * * * *", "Asia/Tokyo")
    assert (one.next_run_at, one.priority, one.max_attempts, one.misfire) == (NOON + HOUR, 7, 9, "skip")
    assert (one.enabled, call("get", off).enabled) == (True, False)
    with pytest.raises(UnknownSchedule):
        call("update", replace(other, id=str(UUID(int=99))))


def test_now_is_the_time_by_which_schedules_are_due(call, clock):
    """In UTC."""
    clock.advance(90)

    assert call("now") == clock.time


def test_a_row_that_is_no_schedule_is_parked(desk, create, call, tick):
    """Another program wrote it; the others go on."""
    bad, good = create(), create()
    never = "'0001-01-01 00:00:00+00'" if isinstance(desk, PostgresDesk) else "'0000 never'"
    with desk.transaction() as connection:
        connection.execute(f"UPDATE workflow_schedule SET next_run_at = {never} WHERE id = '{bad}'")

    assert call("next_in") == 0
    assert len(tick().runs) == 1
    assert len(tick().runs) == 0
    assert call("next_in") == 3600
    with desk.transaction() as connection:
        query = f"SELECT enabled, last_error FROM workflow_schedule WHERE id = '{bad}'"
        enabled, error = connection.execute(query).fetchone()
    assert (bool(enabled), "000" in error) == (False, True)
    assert call("get", good).enabled
    listed = call("list", type=None, limit=9, cursor=None).schedules
    assert [each.next_run_at.year for each in listed] == [2, 2026]
    assert (call("hold", bad), call("get", good)) == tuple(listed)


def test_a_paused_schedule_waits_and_makes_up_for_nothing(create, call, tick, clock):
    """It goes on from the time it is given."""
    schedule_id = create()
    call("pause", schedule_id)
    clock.advance(10 * 3600)

    paused = tick()
    call("resume", schedule_id, clock.time + HOUR)
    resumed = tick()
    clock.advance(3600)

    assert (paused.runs, resumed.runs) == ([], [])
    assert len(tick().runs) == 1


def test_a_deleted_schedule_is_gone_and_its_runs_stay(create, call, tick, do):
    """A second time it is unknown."""
    schedule_id = create()
    (run,) = tick().runs

    call("delete", schedule_id)

    for name, *values in (("get",), ("pause",), ("resume", NOON), ("delete",)):
        with pytest.raises(UnknownSchedule, match=schedule_id):
            call(name, schedule_id, *values)
    assert call("list", type=None, limit=9, cursor=None).schedules == []
    assert do("get", run.id).type == "report.v1"


@pytest.mark.parametrize("name", ["get", "pause", "delete"])
def test_an_unknown_schedule_is_said_to_be_unknown(call, name):
    """With its id."""
    with pytest.raises(UnknownSchedule, match="'nobody'"):
        call(name, "nobody")


def test_next_in_tells_how_long_a_ticker_may_sleep(create, call, tick):
    """None when there is nothing to wait for."""
    nothing = call("next_in")
    create(next_run_at=NOON + timedelta(seconds=90))
    later = call("next_in")
    create(next_run_at=NOON - HOUR)

    assert (nothing, later, call("next_in")) == (None, 90, 0)


def test_a_listing_pages_through_the_schedules(create, call):
    """And is filtered by type."""
    ids = [create(type="report.v1" if n % 2 else "other.v1") for n in range(5)]

    first = call("list", type=None, limit=3, cursor=None)
    rest = call("list", type=None, limit=3, cursor=first.next)
    other = call("list", type="other.v1", limit=3, cursor=None)

    assert [each.id for each in (*first.schedules, *rest.schedules)] == ids
    assert (rest.next, [each.id for each in other.schedules]) == (None, ids[::2])
    with pytest.raises(InvalidQuery, match="cursor"):
        call("list", type=None, limit=3, cursor="")
