"""The ticker: what is due becomes runs, once, whoever wrote it and whoever else ticks."""

import errno
import json
import logging
import sys
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from orchestrator.cron import CronError, catch_up
from orchestrator.inbox import Inbox
from orchestrator.inbox.schedules.expression import understood
from orchestrator.inbox.schedules.ticker import Ticker

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)

#: As simple-workflow's own programs write it, into their columns alone.
FOREIGN = """
INSERT INTO workflow_schedule (id, type, payload, schedule, timezone, next_run_at)
VALUES (:id, 'foreign.v1', :payload, :cron, :zone, :next)
"""


def id_of(number: int) -> str:
    """The id of a foreign row."""
    return f"00000000-0000-4000-8000-{number:012d}"


@pytest.fixture
def foreign(write):
    """Store a row of another program."""

    async def call(inbox, number, cron="* * * * *", zone="UTC", payload="{}", at="2020-01-01 00:00:00"):
        if inbox.database.dialect == "sqlite":
            values = {"next": at, "payload": payload}
        else:
            from psycopg.types.json import Jsonb

            values = {"next": datetime.fromisoformat(at).replace(tzinfo=UTC), "payload": Jsonb(json.loads(payload))}
        await write(inbox, FOREIGN, id=id_of(number), cron=cron, zone=zone, **values)
        return id_of(number)

    return call


async def test_a_due_schedule_becomes_one_run_with_its_history(each_inbox, make_due, fires_of):
    """With the key of its fire, due now; missed fires are one run, and the next one is in the future."""
    schedule_id = await each_inbox.schedules.create("a.v1", [1], cron="0 * * * *", priority=7, max_attempts=2)
    await make_due(each_inbox)

    made = [await Ticker(each_inbox).tick(), await Ticker(each_inbox).tick()]

    (run,) = (await each_inbox.list()).runs
    stored = await each_inbox.schedules.get(schedule_id)
    assert made == [1, 0]
    assert (run.type, json.loads(run.payload), run.priority, run.max_attempts) == ("a.v1", [1], 7, 2)
    assert [event.type for event in await each_inbox.events(run.id)] == ["created"]
    assert run.idempotency_key == f"schedule:{schedule_id}:{int((stored.next_run_at - HOUR).timestamp())}"
    assert stored.last_run_at == stored.next_run_at - HOUR
    assert stored.next_run_at > run.created_at >= run.run_at


async def test_a_thousand_due_schedules_are_fired_by_one_tick(each_inbox, make_due):
    """In batches, each a transaction of its own."""
    first = await each_inbox.schedules.create("a.v1", cron="0 3 1 1 *")  # no fire of it begins meanwhile
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) "
    made_id = f"'{first[:-4]}' || substr('000' || i, -4)"
    if each_inbox.database.dialect == "postgresql":
        made_id = f"('{first[:-4]}' || lpad(i::text, 4, '0'))::uuid"
    await each_inbox.database.transaction(
        lambda connection: connection.execute(
            "INSERT INTO workflow_schedule (id, type, payload, schedule, next_run_at) "
            f"{numbers} SELECT {made_id}, 'a.v1', '1', '0 3 1 1 *', next_run_at FROM n, workflow_schedule"
        )
    )
    await make_due(each_inbox)
    rounds: list[None] = []

    made = await Ticker(each_inbox, batch=100).tick(lambda: rounds.append(None))

    assert (made, len(rounds)) == (1000, 10)
    assert sum((await each_inbox.stats()).counts.values()) == 1000
    assert await Ticker(each_inbox).tick() == 0


@pytest.mark.parametrize(
    ("misfire", "expected"),
    [("run_once", [15]), (catch_up(3), [13, 14, 15]), ("catch_up(100)", [12, 13, 14, 15]), ("skip", [])],
)
async def test_missed_fires_are_dealt_with_as_the_schedule_says(inbox, clock, fires_of, misfire, expected):
    """All of them once, the latest of them, or none."""
    await inbox.schedules.create("a.v1", cron="0 * * * *", misfire=misfire)  # at noon, so from one o'clock on
    schedule_id = await inbox.schedules.create("a.v1", cron="5 * * * *", misfire=misfire)
    await inbox.schedules.delete(schedule_id)
    clock.time = datetime(2026, 3, 1, 11, 30, tzinfo=UTC)
    schedule_id = await inbox.schedules.create("b.v1", cron="0 * * * *", misfire=misfire)
    clock.time = datetime(2026, 3, 1, 15, 30, tzinfo=UTC)

    await Ticker(inbox).tick()

    found = [run for run in (await inbox.list()).runs if run.type == "b.v1"]
    hours = sorted(datetime.fromtimestamp(int(run.idempotency_key.rsplit(":", 1)[1]), UTC).hour for run in found)
    assert hours == expected
    assert (await inbox.schedules.get(schedule_id)).next_run_at == datetime(2026, 3, 1, 16, tzinfo=UTC)


async def test_a_fire_within_the_grace_is_not_missed(inbox, clock, fires_of):
    """Even where missed fires are skipped: no ticker is there in the very second."""
    await inbox.schedules.create("a.v1", cron="0 * * * *", misfire="skip")
    clock.advance(hours=1, seconds=59)

    await Ticker(inbox).tick()

    assert await fires_of(inbox) == [datetime(2026, 3, 1, 13, tzinfo=UTC)]


@pytest.mark.parametrize("payload", ["[1]", '"text"', "7", "true", "null", "{}"])
async def test_any_json_is_a_payload(each_inbox, foreign, payload):
    """An object or not; no schedule stops the others for it."""
    await foreign(each_inbox, 1, payload=payload)
    await foreign(each_inbox, 2)

    made = await Ticker(each_inbox).tick()

    payloads = sorted((json.dumps(json.loads(run.payload)) for run in (await each_inbox.list()).runs), key=str)
    assert made == 2
    assert payloads == sorted([payload, "{}"])


async def test_rows_that_mean_nothing_are_parked_and_starve_nobody(each_inbox, foreign, caplog):
    """However many stand before the good one in the queue; whoever looks is told why."""
    bad = [
        await foreign(each_inbox, number, cron=cron, zone=zone, at="2019-01-01 00:00:00")
        for number, (cron, zone) in enumerate([("nonsense", "UTC"), ("0 0 31 2 *", "UTC"), ("@daily", "Mars/Base")] * 5)
    ]
    good = await foreign(each_inbox, 99)

    with caplog.at_level(logging.ERROR, "orchestrator.inbox"):
        made = await Ticker(each_inbox, batch=10).tick()

    parked = [await each_inbox.schedules.get(one) for one in bad]
    assert made == 1
    assert (await each_inbox.schedules.get(good)).enabled
    assert not any(one.enabled for one in parked)
    for one, word in zip(parked, ["nonsense", "never fire", "Mars/Base"] * 5, strict=True):
        assert word in str(one.last_error)
    assert caplog.text.count("schedule.parked") == len(bad)
    assert await Ticker(each_inbox).tick() == 0


@pytest.mark.parametrize("lacks", ["cronsim", "files", "zones"])
async def test_a_machine_that_lacks_something_parks_nothing(inbox, clock, monkeypatch, lacks):
    """The tick fails, and fires all of it when the machine is put right."""
    schedule_id = await inbox.schedules.create("a.v1", cron="7 * * * *", tz="Pacific/Auckland")
    clock.advance(hours=1)
    understood.cache_clear()

    with monkeypatch.context() as patch:
        if lacks == "cronsim":
            patch.setitem(sys.modules, "cronsim", None)
        elif lacks == "files":
            patch.setattr(zoneinfo, "ZoneInfo", _without_files)
        else:
            patch.setattr(zoneinfo, "ZoneInfo", _without_zones)
            patch.setattr(zoneinfo, "available_timezones", set)
        with pytest.raises(CronError):
            await Ticker(inbox).tick()

    assert (await inbox.schedules.get(schedule_id)).enabled
    assert await Ticker(inbox).tick() == 1


def _without_files(name: str) -> None:
    raise OSError(errno.EMFILE, "too many open files", name)


def _without_zones(name: str) -> None:
    raise zoneinfo.ZoneInfoNotFoundError(name)


async def test_a_parked_schedule_can_be_put_right(each_inbox, foreign, make_due):
    """It is not resumed before; then it fires again."""
    bad = await foreign(each_inbox, 1, cron="nonsense")
    await Ticker(each_inbox).tick()

    with pytest.raises(ValueError, match=f"{bad}.*nonsense.*update"):
        await each_inbox.schedules.resume(bad)
    with pytest.raises(ValueError, match=f"{bad}.*nonsense.*update"):
        await each_inbox.schedules.next_fires(bad)
    await each_inbox.schedules.update(bad, cron="0 9 * * *")
    await each_inbox.schedules.resume(bad)
    await make_due(each_inbox)

    stored = await each_inbox.schedules.get(bad)
    assert (stored.enabled, stored.last_error) == (True, None)
    assert await Ticker(each_inbox).tick() == 1


async def test_a_row_without_a_readable_time_is_parked_and_still_listed(each_inbox, foreign):
    """Go writes the year 1 for never; it keeps nobody from firing and no listing from being read."""
    never = await foreign(each_inbox, 1)
    await foreign(each_inbox, 2)
    time = "0" if each_inbox.database.dialect == "sqlite" else "0001-01-01 00:00:00+00"
    await each_inbox.database.transaction(
        lambda connection: connection.execute(
            f"UPDATE workflow_schedule SET next_run_at = '{time}' WHERE id = '{never}'"
        )
    )

    made = await Ticker(each_inbox, batch=1).tick()

    listed = {one.id: one for one in (await each_inbox.schedules.list()).schedules}
    assert (made, len(listed)) == (1, 2)
    assert not listed[never].enabled
    assert time[:4] in str(listed[never].last_error)
    await each_inbox.schedules.resume(never)
    assert (await each_inbox.schedules.get(never)).enabled


async def test_foreign_rows_fire_on_the_wall_clock_of_their_zone(inbox, foreign, clock, fires_of):
    """Also where the zone stands before the expression."""
    await foreign(inbox, 1, cron="CRON_TZ=America/New_York 0 9 * * *", at="2026-02-28 14:00:00")
    await foreign(inbox, 2, cron="0 9 * * ?", zone="Asia/Tokyo", at="2026-03-01 00:00:00")

    await Ticker(inbox).tick()

    ours, theirs = [(await inbox.schedules.get(id_of(number))).next_run_at for number in (1, 2)]
    assert await fires_of(inbox) == [datetime(2026, 2, 28, 14, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)]
    assert (ours, theirs) == (datetime(2026, 3, 1, 14, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))


async def test_a_fire_that_another_ticker_has_stored_is_not_doubled(each_inbox, make_due, write):
    """Its key is that of simple-workflow: whoever comes second stores nothing."""
    at = datetime(2020, 1, 1, tzinfo=UTC)
    schedule_id = await each_inbox.schedules.create("a.v1", cron="0 0 1 1 *", misfire=catch_up(1000))
    await make_due(each_inbox, at=at)
    key = f"schedule:{schedule_id}:{int(at.timestamp())}"
    theirs = await each_inbox.submit("a.v1", None, idempotency_key=key)

    made = await Ticker(each_inbox).tick()

    same = (await each_inbox.list(idempotency_key=key)).runs
    others = (await each_inbox.list()).runs
    assert [run.id for run in same] == [theirs]
    assert made == len(others) - 1 >= 6


async def test_a_tick_that_fails_leaves_nothing_and_is_made_up_for(inbox, clock, monkeypatch):
    """What was found due and not committed is still due."""
    schedule_id = await inbox.schedules.create("a.v1", cron="* * * * *")
    clock.advance(minutes=1)
    ticker = Ticker(inbox)
    store = inbox.schedules.store
    before = await inbox.schedules.get(schedule_id)

    with monkeypatch.context() as patch:
        patch.setattr(store, "next_in", _after(1, store.next_in))  # the last statement of the transaction
        with pytest.raises(LookupError):
            await ticker.tick()

    assert (await inbox.list()).runs == []
    assert await inbox.schedules.get(schedule_id) == before
    assert ticker.due()
    assert await ticker.tick() == 1


def _after(times: int, work: Callable[[object], object]) -> Callable[[object], object]:
    """*work*, which fails after so many calls."""
    left = [None] * times

    def call(connection: object) -> object:
        if not left:
            raise LookupError("the server went away")
        left.pop()
        return work(connection)

    return call


async def test_a_stopped_ticker_ends_after_its_batch(inbox, clock):
    """A service that drains waits for no backlog."""
    for _ in range(5):
        await inbox.schedules.create("a.v1", cron="* * * * *")
    clock.advance(minutes=1)
    ticker = Ticker(inbox, batch=2)

    made = await ticker.tick(ticker.stop)

    assert made == 2


@pytest.mark.parametrize(
    "options", [{"interval": 0}, {"interval": "1"}, {"batch": 0}, {"batch": 1001}, {"batch": 1.5}, {"grace": -1}]
)
async def test_a_ticker_with_a_wrong_number_is_refused(inbox, options):
    """With its name and its value."""
    (name, value), *_ = options.items()

    with pytest.raises(ValueError, match=f"Ticker: {name} is {value!r}"):
        Ticker(inbox, **options)


async def test_two_tickers_at_once_fire_each_schedule_once(postgres_url, make_due):
    """Each on connections of its own; both work."""
    async with Inbox.open(postgres_url) as inbox, Inbox.open(postgres_url) as other:
        for _ in range(40):
            await inbox.schedules.create("a.v1", cron="0 0 1 1 *", misfire=catch_up(3))
        await make_due(inbox, at=datetime(2020, 1, 1, tzinfo=UTC))
        made: list[int] = []

        async def tick(where: Inbox) -> None:
            made.append(await Ticker(where, batch=3).tick())

        async with anyio.create_task_group() as tg:
            for where in (inbox, other) * 2:
                tg.start_soon(tick, where)
        await tick(inbox)

        keys = [run.idempotency_key for run in (await inbox.list(limit=1000)).runs]

    assert sum(made) == len(keys) == len(set(keys)) == 120
