"""Changes of the clock: examples over real ones, and an independent model that walks minute by minute in UTC."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.cron import Cron

MINUTE = timedelta(minutes=1)

#: Zones and days (UTC) around which their clocks change, or do not.
CHANGES = [
    ("America/New_York", "2025-03-09"),
    ("America/New_York", "2025-11-02"),
    ("America/New_York", "1974-01-06"),
    ("Europe/Berlin", "2025-03-30"),
    ("Europe/Berlin", "2025-10-26"),
    ("Europe/Dublin", "1971-10-31"),
    ("Australia/Lord_Howe", "2025-04-05"),
    ("Australia/Lord_Howe", "2025-10-04"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Havana", "2025-03-09"),
    ("America/Havana", "2025-11-02"),
    ("Asia/Beirut", "2025-03-29"),
    ("Africa/Casablanca", "2025-02-23"),
    ("Africa/Casablanca", "2025-04-06"),
    ("Antarctica/Troll", "2025-03-30"),
    ("Antarctica/Troll", "2025-10-26"),
    ("America/Caracas", "2007-12-09"),
    ("America/Caracas", "2016-05-01"),
    ("Asia/Pyongyang", "2015-08-14"),
    ("Asia/Pyongyang", "2018-05-04"),
    ("Asia/Kathmandu", "1985-12-31"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Asia/Kolkata", "2025-03-30"),
    ("UTC", "2025-03-30"),
]


def local(cron: Cron, start: str, hours: int = 24) -> list[str]:
    """What the wall clock shows at the fires of so many hours after *start*, which is UTC."""
    after = datetime.fromisoformat(start).replace(tzinfo=UTC)
    fires = []
    for fire in cron.fires(after):
        if fire > after + timedelta(hours=hours):
            return fires
        fires.append(f"{fire.astimezone(cron.zone):%d %H:%M%z}")
    return fires


@pytest.mark.parametrize(
    ("text", "tz", "start", "shows"),
    [
        # skipped: at the end of the gap, and once
        ("30 2 * * *", "America/New_York", "2025-03-09T05:00", ["09 03:00-0400"]),
        ("0,15,30 2 * * *", "America/New_York", "2025-03-09T05:00", ["09 03:00-0400"]),
        ("30 2,3 * * *", "America/New_York", "2025-03-09T05:00", ["09 03:00-0400", "09 03:30-0400"]),
        ("0 30 2 * * *", "Europe/Berlin", "2025-03-30T00:00", ["30 03:00+0200"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2025-10-04T14:00", ["05 02:30+1100"]),
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-04T01:30", ["04 01:00-0200"]),
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-29T20:00", ["31 00:00+1400"]),
        # repeated: the first time only
        ("30 1 * * *", "America/New_York", "2025-11-02T04:00", ["02 01:30-0400"]),
        ("0 30 2 * * *", "Europe/Berlin", "2025-10-25T22:00", ["26 02:30+0200"]),
        ("45 1 * * *", "Australia/Lord_Howe", "2025-04-05T13:00", ["06 01:45+1100"]),
    ],
)
def test_a_job_at_a_time_fires_once_on_the_day_of_a_change(text: str, tz: str, start: str, shows: list[str]) -> None:
    """A skipped time fires at the end of the gap, a repeated one the first time."""
    assert local(Cron.parse(text, tz), start) == shows


@pytest.mark.parametrize(
    ("text", "tz", "start", "hours", "shows"),
    [
        ("0 * * * *", "America/New_York", "2025-03-09T05:30", 3, ["09 01:00-0500", "09 03:00-0400", "09 04:00-0400"]),
        ("@hourly", "America/New_York", "2025-11-02T04:30", 3, ["02 01:00-0400", "02 01:00-0500", "02 02:00-0500"]),
        ("*/30 2 * * *", "America/New_York", "2025-03-09T05:30", 12, []),
        ("*/30 1 * * *", "America/New_York", "2025-11-02T05:45", 12, ["02 01:00-0500", "02 01:30-0500"]),
        ("*/15 2 * * *", "Australia/Lord_Howe", "2025-04-05T14:00", 2, ["06 02:00+1030", "06 02:15+1030"]),
        ("*/30 0 4 11 *", "America/Sao_Paulo", "2018-11-03T12:00", 24, []),
        ("0 0 * * * *", "Europe/Berlin", "2025-10-25T23:30", 3, ["26 02:00+0200", "26 02:00+0100", "26 03:00+0100"]),
    ],
)
def test_a_job_through_the_day_fires_whenever_the_clock_shows_it(
    text: str, tz: str, start: str, hours: int, shows: list[str]
) -> None:
    """Not in a gap, and in a repeated hour twice."""
    fires = local(Cron.parse(text, tz), start, hours)

    assert fires[: len(shows)] == shows
    assert len(fires) <= len(shows) + 1


def test_a_job_at_a_time_does_not_fire_when_asked_within_the_repeated_hour() -> None:
    """At 01:15 for the second time, 01:30 has been already, though the clock is about to show it again."""
    second_time = datetime(2025, 11, 2, 1, 15, fold=1, tzinfo=ZoneInfo("America/New_York"))

    fire = Cron.parse("30 1 * * *", "America/New_York").next(second_time)

    assert fire == datetime(2025, 11, 3, 6, 30, tzinfo=UTC)


def test_a_moment_that_no_clock_showed_is_taken_as_the_instant_it_means() -> None:
    """02:30 in New York on 9 March 2025 is 07:30 UTC, where the clock shows 03:30."""
    never = datetime(2025, 3, 9, 2, 30, tzinfo=ZoneInfo("America/New_York"))

    assert Cron.parse("0 * * * *", "America/New_York").next(never) == datetime(2025, 3, 9, 8, tzinfo=UTC)


def test_a_job_that_falls_into_every_gap_ends_with_an_error() -> None:
    """Two o'clock of the second Sunday in March through the day: New York has had none since 2007."""
    cron = Cron.parse("*/5 2 * 3 0#2", "America/New_York")

    with pytest.raises(ValueError, match="does not fire after"):
        cron.next(datetime(2010, 1, 1, tzinfo=UTC))


@dataclass(frozen=True)
class Fields:
    """An expression as sets; ``None`` stands for a star."""

    minutes: frozenset[int] | None
    hours: frozenset[int] | None
    days: frozenset[int] | None
    weekdays: frozenset[int] | None

    def __str__(self) -> str:
        def written(values: frozenset[int] | None) -> str:
            return "*" if values is None else ",".join(map(str, sorted(values)))

        return f"{written(self.minutes)} {written(self.hours)} {written(self.days)} * {written(self.weekdays)}"

    def fits(self, wall: datetime) -> bool:
        """Whether the clock shows a time of the expression."""
        day = self.days is None or wall.day in self.days
        weekday = self.weekdays is None or wall.isoweekday() % 7 in self.weekdays
        either = self.days is not None and self.weekdays is not None
        return (
            (self.minutes is None or wall.minute in self.minutes)
            and (self.hours is None or wall.hour in self.hours)
            and ((day or weekday) if either else (day and weekday))
        )


def walked(fields: Fields, zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[datetime]:
    """The model: look at the wall clock once a minute, and remember the latest time it has shown."""
    at_a_time = fields.minutes is not None and fields.hours is not None
    moment = after - timedelta(hours=30)
    latest = moment.astimezone(zone).replace(tzinfo=None)
    while moment < until:
        moment += MINUTE
        wall = moment.astimezone(zone).replace(tzinfo=None)
        fires = fields.fits(wall)
        if at_a_time:
            fires = fires and wall > latest
            skipped = latest + MINUTE
            while skipped < wall:
                fires = fires or fields.fits(skipped)
                skipped += MINUTE
        latest = max(latest, wall)
        if fires and moment > after:
            yield moment


def some(low: int, high: int) -> st.SearchStrategy[frozenset[int] | None]:
    return st.none() | st.frozensets(st.integers(low, high), min_size=1, max_size=6)


FIELDS = st.builds(Fields, some(0, 59), some(0, 23), some(1, 31), some(0, 6)).filter(
    lambda fields: fields.days is None or min(fields.days) <= 28
)
AT_NIGHT = st.builds(Fields, some(0, 59), st.frozensets(st.integers(0, 3), min_size=1), st.none(), st.none())


@example(Fields(None, frozenset({2}), None, None), ("Australia/Lord_Howe", "2025-04-05"), 0)
@example(Fields(frozenset({30}), frozenset({1}), None, None), ("America/New_York", "2025-11-02"), 6 * 60 + 15)
@example(Fields(None, frozenset({0}), frozenset({4}), None), ("America/Sao_Paulo", "2018-11-04"), 0)
@given(FIELDS | AT_NIGHT, st.sampled_from(CHANGES), st.integers(-24 * 60, 24 * 60))
def test_it_fires_as_the_minute_by_minute_model_does(fields: Fields, change: tuple[str, str], offset: int) -> None:
    """Over two days beside a change of the clock, in zones of all kinds."""
    tz, day = change
    after = datetime.fromisoformat(day).replace(tzinfo=UTC) + offset * MINUTE
    until = after + timedelta(days=2)

    cron = Cron.parse(str(fields), tz)

    fires = []
    for fire in cron.fires(after):
        if fire > until:
            break
        fires.append(fire)
    assert fires == list(walked(fields, ZoneInfo(tz), after, until))
