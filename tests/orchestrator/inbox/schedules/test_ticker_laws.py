"""Whatever the cron, the zone and the times of the ticks: the fires are those of an independent count of minutes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.inbox import Inbox
from orchestrator.inbox.schedules.ticker import Ticker

MINUTE = timedelta(minutes=1)

MINUTES = st.one_of(st.just("*/15"), st.just("*/20"), st.integers(0, 59).map(str), st.just("0,30"))
HOURS = st.one_of(st.just("*"), st.just("*/3"), st.integers(0, 4).map(str), st.just("1-2"), st.integers(0, 23).map(str))
WEEKDAYS = st.sampled_from(["*", "0", "6", "1-5", "0,3"])
ZONES = st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"])

#: Two days before a change of some zone's clock, and a day on which none is changed.
STARTS = st.sampled_from([(3, 7), (11, 1), (3, 28), (10, 24), (10, 3), (4, 4), (7, 1)]).map(
    lambda day: datetime(2026, *day, tzinfo=UTC) - timedelta(hours=20)
)


def named(field: str, lowest: int, highest: int) -> frozenset[int]:
    """The values of a field, read in the plainest way."""
    values: set[int] = set()
    for element in field.split(","):
        base, _, step = element.partition("/")
        first, _, last = base.partition("-")
        low, high = (lowest, highest) if base == "*" else (int(first), int(last or first))
        values.update(range(low, high + 1, int(step or 1)))
    return frozenset(values)


def walls(moment: datetime, zone: ZoneInfo, *, at_a_time: bool) -> Iterator[datetime]:
    """The wall times that fire at *moment*: what the clock shows, and what it left out just before."""
    shown, before = moment.astimezone(zone), (moment - MINUTE).astimezone(zone)
    if not at_a_time:
        yield shown
    elif not shown.fold:  # what it shows for the second time has fired
        wall = before.replace(tzinfo=None) + MINUTE
        while wall < shown.replace(tzinfo=None):
            yield wall
            wall += MINUTE
        yield shown


def counted(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """The fires in (after, until], minute by minute."""
    minute, hour, _, _, weekday = cron.split()
    minutes, hours, days = named(minute, 0, 59), named(hour, 0, 23), named(weekday, 0, 6)
    at_a_time = not minute.startswith("*") and not hour.startswith("*")
    place, fires, moment = ZoneInfo(zone), [], after.replace(second=0, microsecond=0) + MINUTE
    while moment <= until:
        for wall in walls(moment, place, at_a_time=at_a_time):
            if wall.minute in minutes and wall.hour in hours and wall.isoweekday() % 7 in days:
                fires.append(moment)
                break
        moment += MINUTE
    return fires


@given(
    cron=st.builds("{} {} * * {}".format, MINUTES, HOURS, WEEKDAYS),
    zone=ZONES,
    start=STARTS,
    waits=st.lists(st.integers(1, 40 * 3600), min_size=1, max_size=12),
    offset=st.integers(0, 3599),
)
def test_the_fires_are_those_of_an_independent_count(cron, zone, start, waits, offset):
    """None is left out, doubled or moved, however the ticks fall."""
    start += timedelta(seconds=offset)
    now = start
    found: list[int] = []

    async def play() -> None:
        nonlocal now
        async with Inbox.open("sqlite://:memory:", now=lambda: now) as inbox:
            await inbox.schedules.create("a.v1", cron=cron, tz=zone, misfire="catch_up(1000)")
            for wait in waits:
                now += timedelta(seconds=wait)
                await Ticker(inbox).tick()
            page = await inbox.list(limit=1000)
            found.extend(int(str(run.idempotency_key).rsplit(":", 1)[1]) for run in page.runs)

    anyio.run(play)

    expected = counted(cron, zone, start, now)[-1000:]
    assert [datetime.fromtimestamp(each, UTC) for each in sorted(found)] == expected
