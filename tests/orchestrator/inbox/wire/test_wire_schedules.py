"""Schedules that two programs tick: each fire becomes one run, whoever is first, and no row stops the others."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from anyio import from_thread, to_thread

from orchestrator.inbox import State
from orchestrator.inbox.errors import InvalidSchedule, UnknownSchedule
from orchestrator.inbox.schedules.ticker import Ticker
from tests.orchestrator.inbox.wire.conftest import as_json, in_a_thread

pytestmark = pytest.mark.anyio


def ago(**parts):
    return datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(**parts)


def put_back(foreign, schedule_id, time):
    """Let the schedule be due since *time*."""
    foreign.run("UPDATE workflow_schedule SET next_run_at = %s WHERE id = %s", foreign._text(time), schedule_id)


async def state_of(inbox, schedule_id):
    schedule = await inbox.schedules.get(schedule_id)
    return schedule.enabled, schedule.last_error


async def runs_of(inbox, schedule_id):
    runs = (await inbox.list(limit=1000)).runs
    return [run for run in runs if (run.idempotency_key or "").startswith(f"schedule:{schedule_id}:")]


async def test_a_schedule_of_theirs_fires_here(foreign, inbox, history):
    """With its own values, the key by which no fire is doubled, and a history from the beginning."""
    due = ago(minutes=0)
    schedule_id = foreign.schedule("report.v1", {"day": 1}, next_run_at=due)
    foreign.run("UPDATE workflow_schedule SET priority = 7, max_attempts = 2")

    assert await Ticker(inbox).tick() == 1
    assert await Ticker(inbox).tick() == 0

    (run,) = (await inbox.list()).runs
    assert (run.type, as_json(run.payload), run.priority, run.max_attempts) == ("report.v1", {"day": 1}, 7, 2)
    assert run.idempotency_key == f"schedule:{schedule_id}:{int(due.timestamp())}"
    assert (run.state, await history(run.id)) == (State.PENDING, ["created"])
    schedule = await inbox.schedules.get(schedule_id)
    assert schedule.next_run_at > datetime.now(UTC) - timedelta(seconds=5)
    assert schedule.last_run_at == due


async def test_a_schedule_of_ours_fires_there(foreign, inbox):
    """Their ticker reads what we store, and ours does not fire it again."""
    schedule_id = await inbox.schedule("report.v1", {"day": 1}).cron("* * * * *").priority(7).create()
    put_back(foreign, schedule_id, ago(minutes=3))

    fired = foreign.tick()
    ours = await Ticker(inbox).tick()

    (run,) = (await inbox.list()).runs
    assert (fired, ours) == ([run.id], 0)
    assert (as_json(run.payload), run.priority) == ({"day": 1}, 7)


async def test_their_tick_in_the_midst_of_ours_fires_nothing_twice(place, foreign, inbox):
    """It finds the rows held, or is told that the database is busy; it never has a second run for a fire."""
    schedule_id = foreign.schedule("report.v1", {}, next_run_at=ago(minutes=1))
    if place.sqlite:
        foreign.run("PRAGMA busy_timeout = 0")
    ticker, seen = Ticker(inbox), []

    def work(connection):
        found = ticker._schedules.store.due(connection, 10)
        assert [each.id for each in found] == [schedule_id]
        try:
            seen.append(foreign.tick())
        except sqlite3.OperationalError as error:
            seen.append(str(error))

    await inbox.database.transaction(work)
    await ticker.tick()

    assert seen in ([[]], ["database is locked"])
    assert len(await runs_of(inbox, schedule_id)) == 1


async def test_our_tick_in_the_midst_of_theirs_fires_nothing_twice(place, foreign, inbox):
    """What they hold is left to them; where nothing can be held, their commit is refused and ours stands."""
    schedule_id = foreign.schedule("report.v1", {}, next_run_at=ago(minutes=1))
    ours = []

    def between():
        ours.append(from_thread.run(Ticker(inbox).tick))

    theirs = []
    try:
        theirs = await to_thread.run_sync(foreign.tick, between)
    except sqlite3.OperationalError:
        assert place.sqlite

    assert (len(theirs), ours) == ((0, [1]) if place.sqlite else (1, [0]))
    assert len(await runs_of(inbox, schedule_id)) == 1
    assert foreign.tick() == []


async def test_tickers_of_both_on_the_same_schedules_never_fire_one_twice(place, foreign, inbox):
    """Forty schedules, two of their tickers and one of ours at the same time."""
    ids = [foreign.schedule("report.v1", n, next_run_at=ago(minutes=5)) for n in range(40)]
    others = [place.foreign(), place.foreign()]

    def tick(client):
        for _ in range(8):
            try:
                client.tick()
            except sqlite3.OperationalError:  # it tries again at its next tick, as their tickers do
                continue

    with in_a_thread(lambda: tick(others[0])), in_a_thread(lambda: tick(others[1])):
        for _ in range(4):
            await Ticker(inbox, batch=5).tick()
    await Ticker(inbox).tick()

    runs = [run for run in (await inbox.list(limit=1000)).runs if run.created_at]
    first = {}
    for run in runs:
        first.setdefault(as_json(run.payload), []).append(run)
    assert sorted(first) == list(range(len(ids)))
    minutes = 1 + (datetime.now(UTC) - ago(minutes=0)).total_seconds() < 10  # a minute may just have begun
    assert all(len(each) <= 1 + minutes for each in first.values())
    assert len({run.idempotency_key for run in runs}) == len(runs)


async def test_a_payload_of_any_kind_fires(foreign, inbox):
    """One that is no object stops no tick."""
    payloads = [[1, 2], "text", 5, True, None, {"a": {}}]
    for n, payload in enumerate(payloads):
        foreign.schedule(f"report{n}.v1", payload, next_run_at=ago(minutes=1))

    assert await Ticker(inbox).tick() == len(payloads)

    runs = sorted((await inbox.list()).runs, key=lambda run: run.type)
    assert [as_json(run.payload) for run in runs] == payloads


async def test_rows_that_mean_nothing_are_parked_and_starve_nobody(foreign, inbox):
    """Fifteen of them before a good one; each says what is wrong with it, and is not looked at again."""
    crons = ["not a cron", "61 * * * *", "", "0 0 31 2 *"] * 3
    bad = [foreign.schedule("bad.v1", {}, cron=cron, next_run_at=ago(days=1)) for cron in crons]
    bad += [foreign.schedule("bad.v1", {}, zone="Mars/Base", next_run_at=ago(days=1)) for _ in range(3)]
    good = foreign.schedule("report.v1", {}, next_run_at=ago(minutes=1))

    assert await Ticker(inbox, batch=5).tick() == 1

    assert len(await runs_of(inbox, good)) == 1
    for schedule_id in bad:
        enabled, error = await state_of(inbox, schedule_id)
        assert not enabled
        assert error


async def test_a_next_time_in_the_year_one_is_parked(foreign, inbox):
    """Another program stores it for a date that never comes, and then finds it due for ever."""
    text = "0001-01-01 00:00:00" if foreign.sqlite else "0001-01-01T00:00:00+00:00"
    never = foreign.schedule("bad.v1", {}, cron="0 0 31 2 *", next_run_at=text)
    foreign.schedule("report.v1", {}, next_run_at=ago(minutes=1))

    assert await Ticker(inbox).tick() == 1

    assert not (await state_of(inbox, never))[0]


async def test_all_that_is_due_fires_in_one_tick(foreign, inbox):
    """However many there are; none waits for another tick."""
    ids = [foreign.schedule("report.v1", {}, next_run_at=ago(minutes=1)) for _ in range(25)]

    assert await Ticker(inbox, batch=10).tick() == 25

    keys = {(run.idempotency_key or "").split(":")[1] for run in (await inbox.list(limit=100)).runs}
    assert keys == set(ids)


async def test_fires_that_were_missed_become_one_run(foreign, inbox):
    """Three hours of minutes, as their ticker has it."""
    schedule_id = foreign.schedule("report.v1", {}, next_run_at=ago(hours=3))

    assert await Ticker(inbox).tick() == 1
    assert len(await runs_of(inbox, schedule_id)) == 1


async def test_what_they_paused_or_deleted_does_not_fire(foreign, inbox):
    """And what they resumed does."""
    paused = foreign.schedule("report.v1", 1, next_run_at=ago(minutes=1))
    deleted = foreign.schedule("report.v1", 2, next_run_at=ago(minutes=1))
    foreign.run("UPDATE workflow_schedule SET enabled = %s WHERE id = %s", False, paused)
    foreign.run("UPDATE workflow_schedule SET deleted_at = NOW WHERE id = %s", deleted)

    assert await Ticker(inbox).tick() == 0
    with pytest.raises(UnknownSchedule):
        await inbox.schedules.get(deleted)
    foreign.run("UPDATE workflow_schedule SET enabled = %s WHERE id = %s", True, paused)
    assert await Ticker(inbox).tick() == 1


async def test_what_we_paused_or_deleted_does_not_fire_there(foreign, inbox):
    """Their ticker reads the same columns."""
    paused = await inbox.schedule("report.v1").cron("* * * * *").create()
    deleted = await inbox.schedule("report.v1").cron("* * * * *").create()
    await inbox.schedules.pause(paused)
    await inbox.schedules.delete(deleted)
    put_back(foreign, paused, ago(minutes=1))
    put_back(foreign, deleted, ago(minutes=1))

    assert foreign.tick() == []


async def test_the_zone_of_a_schedule_counts_when_it_is_made_and_when_it_fires(foreign, inbox):
    """Nine o'clock is nine o'clock there, summer and winter, and never that of the machine."""
    ours = await inbox.schedule("report.v1").cron("0 9 * * *", tz="Asia/Tokyo").create()
    theirs = foreign.schedule("report.v1", {}, cron="0 9 * * *", zone="Asia/Tokyo", next_run_at=ago(days=1))

    await Ticker(inbox).tick()

    for schedule_id in (ours, theirs):
        assert (await inbox.schedules.get(schedule_id)).next_run_at.time().hour == 0
        assert {time.hour for time in await inbox.schedules.next_fires(schedule_id, 10)} == {0}


async def test_what_their_tickers_could_not_read_is_refused_when_it_is_made(inbox):
    """A row that means something to one program alone would stop the other."""
    for cron in ("0 0 31 2 *", "0 * * * * *", "0 0 * * * * 2027", "nonsense", "", "* * * *"):
        with pytest.raises(InvalidSchedule):
            await inbox.schedule("report.v1").cron(cron).create()
    with pytest.raises(InvalidSchedule, match="Mars/Base"):
        await inbox.schedule("report.v1").cron("* * * * *", tz="Mars/Base").create()

    assert (await inbox.schedules.list()).schedules == []


async def test_a_macro_is_stored_as_the_fields_that_everybody_reads(foreign, inbox):
    """So is a zone that is written before the fields."""
    await inbox.schedule("report.v1").cron("@daily").create()
    await inbox.schedule("report.v1").cron("CRON_TZ=Asia/Tokyo 0 9 * * 7").create()

    rows = foreign.rows("SELECT schedule, timezone FROM workflow_schedule ORDER BY schedule")
    assert rows == [("0 0 * * *", "UTC"), ("0 9 * * 0", "Asia/Tokyo")]


async def test_a_next_time_of_theirs_with_a_zone_is_the_time_that_it_says(tmp_path):
    """Their SQLite tickers store it as the local wall clock; it is neither parked nor early."""
    from tests.orchestrator.inbox.wire.conftest import Place

    place = Place(f"sqlite://{tmp_path}/state.db")
    foreign = place.foreign()
    foreign.migrate()
    local = "{:%Y-%m-%d %H:%M:%S} -0700 PDT"
    behind = timedelta(hours=-7)
    before = foreign.schedule("report.v1", 1, next_run_at=local.format(datetime.now(UTC) + behind - timedelta(hours=1)))
    async with place.inbox() as inbox:
        waits = foreign.schedule(
            "report.v1", 2, next_run_at=local.format(datetime.now(UTC) + behind + timedelta(hours=1))
        )
        fires = foreign.schedule(
            "report.v1", 3, next_run_at=local.format(datetime.now(UTC) + behind - timedelta(minutes=1))
        )
        foreign.run("UPDATE workflow_schedule SET last_run_at = %s", local.format(datetime.now(UTC)))

        assert await Ticker(inbox).tick() == 2

        assert [as_json(run.payload) for run in reversed((await inbox.list()).runs)] in ([1, 3], [3, 1])
        assert [await state_of(inbox, each) for each in (before, waits, fires)] == [(True, None)] * 3
    foreign.close()
