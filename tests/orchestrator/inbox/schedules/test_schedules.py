"""Schedules as their users make them and look after them."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cron import catch_up
from orchestrator.inbox import Inbox, InvalidIntent, InvalidPayload, InvalidQuery, PayloadTooLarge, State
from orchestrator.inbox.errors import InvalidSchedule, UnknownSchedule
from orchestrator.inbox.schedules.ticker import Ticker
from orchestrator.sql import SchemaOlder

pytestmark = pytest.mark.anyio

NOBODY = "01234567-89ab-7def-8123-456789abcdef"


async def test_the_builder_says_what_a_schedule_shall_be(each_inbox):
    """Each word gives a new builder; only create stores."""
    daily = each_inbox.schedule("report.daily.v1", {"full": True}).cron("0 9 * * 1", tz="America/New_York")
    urgent = daily.priority(10).max_attempts(7).misfire(catch_up(3))

    first, second = await daily.create(), await urgent.create()

    one, other = await each_inbox.schedules.get(first), await each_inbox.schedules.get(second)
    assert (one.type, json.loads(one.payload), one.cron, one.timezone) == (
        "report.daily.v1",
        {"full": True},
        "0 9 * * 1",
        "America/New_York",
    )
    assert (one.priority, one.max_attempts, one.misfire, one.enabled) == (100, 3, "run_once", True)
    assert (other.priority, other.max_attempts, other.misfire) == (10, 7, "catch_up(3)")


async def test_a_builder_without_a_time_is_refused(inbox):
    """With the word that is missing."""
    with pytest.raises(InvalidSchedule, match=r"'report.v1' has no cron .* \.cron\("):
        await inbox.schedule("report.v1").create()


async def test_the_first_fire_is_the_first_after_now_on_the_wall_clock_of_its_zone(inbox, clock):
    """New York is five hours behind in winter."""
    clock.time = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)  # exactly then, so not any more

    schedule_id = await inbox.schedules.create("a.v1", cron="0 9 * * *", tz="America/New_York")

    assert (await inbox.schedules.get(schedule_id)).next_run_at == datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "cron", "zone"),
    [
        ("@daily", "0 0 * * *", "Asia/Tokyo"),
        ("@hourly", "0 * * * *", "Asia/Tokyo"),
        ("  0   9 * * mon-fri ", "0 9 * * MON-FRI", "Asia/Tokyo"),
        ("CRON_TZ=Europe/Berlin 0 9 * * *", "0 9 * * *", "Europe/Berlin"),
        ("0 9 * * 7", "0 9 * * 0", "Asia/Tokyo"),
        ("0 9 * * 5-7", "0 9 * * 0,5,6", "Asia/Tokyo"),
    ],
)
async def test_five_fields_that_every_program_understands_are_stored(inbox, given, cron, zone):
    """Whatever of the like was written."""
    schedule_id = await inbox.schedules.create("a.v1", cron=given, tz="Asia/Tokyo")

    stored = await inbox.schedules.get(schedule_id)

    assert (stored.cron, stored.timezone) == (cron, zone)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cron": "61 * * * *"}, InvalidSchedule, r"minute \(field 1 of 5\).*'61'"),
        ({"cron": "0 0 31 2 *"}, InvalidSchedule, "'0 0 31 2 \\*' can never fire"),
        ({"cron": "0 9 * *"}, InvalidSchedule, "0 9 \\* \\*"),
        ({"cron": ""}, InvalidSchedule, "cron expression"),
        ({"cron": None}, InvalidSchedule, "None"),
        ({"cron": "0 0 9 * * *"}, InvalidSchedule, "six fields"),
        ({"cron": "every 5m"}, InvalidSchedule, r"is an interval.*\*/5 \* \* \* \*"),
        ({"cron": "0 0 L * *"}, InvalidSchedule, "L, LW or #"),
        ({"cron": "0 0 * * 5#2"}, InvalidSchedule, "L, LW or #"),
        ({"cron": "0 0 * * 5L"}, InvalidSchedule, "L, LW or #"),
        ({"tz": "Mars/Base"}, InvalidSchedule, "'Mars/Base'"),
        ({"tz": "Europe/Berln"}, InvalidSchedule, "did you mean Europe/Berlin"),
        ({"tz": None}, InvalidSchedule, "None"),
        ({"misfire": "all"}, InvalidSchedule, r"'all'; give skip, run_once or, for example, catch_up\(3\)"),
        ({"misfire": "catch_up(100000)"}, InvalidSchedule, "100000"),
        ({"type": "no spaces"}, InvalidIntent, "'no spaces'"),
        ({"payload": object()}, InvalidPayload, "object"),
        ({"payload": "x" * (1 << 20)}, PayloadTooLarge, "1048576"),
        ({"payload": "a\0b"}, InvalidPayload, "NUL"),
        ({"priority": 1.5}, InvalidIntent, "priority is 1.5"),
        ({"max_attempts": 0}, InvalidIntent, "max_attempts is 0"),
    ],
)
async def test_a_wrong_value_is_refused_with_nothing_stored(inbox, options, error, message):
    """And with the value and the remedy."""
    with pytest.raises(error, match=message):
        await inbox.schedules.create(**{"type": "a.v1", "cron": "* * * * *", **options})

    assert (await inbox.schedules.list()).schedules == []


@pytest.mark.parametrize("schedule_id", ["nobody", "", NOBODY, "\0", "\ud800", None, 7])
async def test_an_unknown_id_is_said_to_be_unknown(each_inbox, schedule_id):
    """By every call that takes one, also when it is no id at all."""
    schedules = each_inbox.schedules

    for call in ("get", "pause", "resume", "delete", "trigger", "next_fires", "update"):
        with pytest.raises(UnknownSchedule, match=r"no schedule has the id .*list"):
            await getattr(schedules, call)(schedule_id)


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"limit": 1001}, {"limit": True}, {"limit": "5"}, {"cursor": ""}, {"type": 5}]
)
async def test_a_wrong_listing_is_refused(each_inbox, options):
    """With the name of what is wrong."""
    with pytest.raises(InvalidQuery, match=next(iter(options))):
        await each_inbox.schedules.list(**options)


async def test_a_listing_pages_through_the_schedules(each_inbox):
    """Oldest first, and by type."""
    ids = [await each_inbox.schedules.create(f"t{n % 2}.v1", cron="@daily") for n in range(5)]

    first = await each_inbox.schedules.list(limit=3)
    rest = await each_inbox.schedules.list(limit=3, cursor=first.next)
    odd = await each_inbox.schedules.list(type="t1.v1")

    assert [one.id for one in (*first.schedules, *rest.schedules)] == ids
    assert (rest.next, [one.id for one in odd.schedules]) == (None, ids[1::2])


async def test_a_paused_schedule_does_not_fire_and_resumes_with_the_future(each_inbox, make_due):
    """Nothing is made up for, however long the pause was."""
    schedule_id = await each_inbox.schedules.create("a.v1", cron="* * * * *", misfire=catch_up(100))
    await each_inbox.schedules.pause(schedule_id)
    await make_due(each_inbox)

    while_paused = await Ticker(each_inbox).tick()
    await each_inbox.schedules.resume(schedule_id)
    after = await Ticker(each_inbox).tick()

    stored = await each_inbox.schedules.get(schedule_id)
    assert (while_paused, after, stored.enabled) == (0, 0, True)
    assert stored.next_run_at > stored.created_at


async def test_resuming_one_that_is_on_forgets_no_fire(each_inbox, make_due):
    """What is due stays due."""
    schedule_id = await each_inbox.schedules.create("a.v1", cron="* * * * *")
    await make_due(each_inbox)

    await each_inbox.schedules.resume(schedule_id)

    assert await Ticker(each_inbox).tick() == 1


async def test_a_deleted_schedule_fires_no_more(each_inbox, make_due):
    """And deleting it again says that it is unknown."""
    schedule_id = await each_inbox.schedules.create("a.v1", cron="* * * * *")
    await make_due(each_inbox)
    await each_inbox.schedules.delete(schedule_id)

    made = await Ticker(each_inbox).tick()

    assert made == 0
    assert (await each_inbox.schedules.list()).schedules == []
    with pytest.raises(UnknownSchedule, match=schedule_id):
        await each_inbox.schedules.delete(schedule_id)


async def test_a_trigger_submits_now_and_moves_nothing(each_inbox):
    """As often as it is asked, also while the schedule is paused."""
    schedule_id = await each_inbox.schedules.create("a.v1", [1], cron="@yearly", priority=7, max_attempts=2)
    before = await each_inbox.schedules.get(schedule_id)

    first = await each_inbox.schedules.trigger(schedule_id)
    await each_inbox.schedules.pause(schedule_id)
    second = await each_inbox.schedules.trigger(schedule_id)

    run = await each_inbox.get(first)
    after = await each_inbox.schedules.get(schedule_id)
    assert (run.type, json.loads(run.payload), run.priority, run.max_attempts) == ("a.v1", [1], 7, 2)
    assert (run.state, first != second) == (State.PENDING, True)
    assert str(run.idempotency_key).startswith(f"schedule:{schedule_id}:")
    assert [event.type for event in await each_inbox.events(second)] == ["created"]
    assert (after.next_run_at, after.last_run_at) == (before.next_run_at, None)


async def test_next_fires_tells_when_it_fires(inbox, clock):
    """From the stored time on; when it is off, as if it were on."""
    clock.time = datetime(2026, 3, 7, 12, tzinfo=UTC)
    schedule_id = await inbox.schedules.create("a.v1", cron="0 9 * * *", tz="America/New_York")

    fires = await inbox.schedules.next_fires(schedule_id, 3)
    await inbox.schedules.pause(schedule_id)
    clock.advance(days=1)
    paused = await inbox.schedules.next_fires(schedule_id, count=1)

    assert fires == [
        datetime(2026, 3, 7, 14, tzinfo=UTC),
        datetime(2026, 3, 8, 13, tzinfo=UTC),  # summer begins
        datetime(2026, 3, 9, 13, tzinfo=UTC),
    ]
    assert paused == [datetime(2026, 3, 8, 13, tzinfo=UTC)]
    for count in (0, 1001, True, "2"):
        with pytest.raises(InvalidQuery, match="count"):
            await inbox.schedules.next_fires(schedule_id, count)


async def test_an_update_changes_what_it_is_given(each_inbox):
    """The next fire moves only with the cron or the zone."""
    schedule_id = await each_inbox.schedules.create("a.v1", {"n": 1}, cron="0 9 * * *", tz="Europe/Berlin")
    before = await each_inbox.schedules.get(schedule_id)

    await each_inbox.schedules.update(schedule_id, payload=None, priority=1, max_attempts=9, misfire="skip")
    middle = await each_inbox.schedules.get(schedule_id)
    await each_inbox.schedules.update(schedule_id, cron="@monthly")
    await each_inbox.schedules.update(schedule_id, tz="Asia/Tokyo")
    after = await each_inbox.schedules.get(schedule_id)

    assert (middle.payload, middle.priority, middle.max_attempts, middle.misfire) == ("null", 1, 9, "skip")
    assert (middle.cron, middle.timezone, middle.next_run_at) == ("0 9 * * *", "Europe/Berlin", before.next_run_at)
    assert (after.cron, after.timezone, after.priority) == ("0 0 1 * *", "Asia/Tokyo", 1)
    assert after.next_run_at.hour == 15
    for wrong in ({"cron": "nonsense"}, {"cron": ""}, {"tz": "Mars/Base"}, {"misfire": "all"}):
        with pytest.raises(InvalidSchedule):
            await each_inbox.schedules.update(schedule_id, **wrong)
    assert await each_inbox.schedules.get(schedule_id) == after


async def test_an_update_leaves_a_paused_schedule_paused(each_inbox):
    """It is resumed by resume."""
    schedule_id = await each_inbox.schedules.create("a.v1", cron="@daily")
    await each_inbox.schedules.pause(schedule_id)

    await each_inbox.schedules.update(schedule_id, cron="@hourly")

    assert not (await each_inbox.schedules.get(schedule_id)).enabled


async def test_times_are_those_of_the_database_on_postgres(postgres_url):
    """A wrong clock in this process moves no fire."""
    async with Inbox.open(postgres_url, now=lambda: datetime(2040, 1, 1, tzinfo=UTC)) as inbox:
        schedule_id = await inbox.schedules.create("a.v1", cron="* * * * *")

        stored = await inbox.schedules.get(schedule_id)

    assert timedelta() < stored.next_run_at - stored.created_at <= timedelta(minutes=1)


async def test_tables_that_are_missing_are_explained(tmp_path):
    """With what to do about it."""
    async with Inbox.open(f"sqlite:///{tmp_path}/empty.db", migrate=False) as inbox:
        with pytest.raises(SchemaOlder, match=r"tables .* are missing.*migrate"):
            await inbox.schedules.create("a.v1", cron="@daily")
        with pytest.raises(SchemaOlder, match=r"tables .* are missing.*migrate"):
            await Ticker(inbox).tick()
