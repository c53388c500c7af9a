"""Fires where the clock is set forward or back, ticked through minute by minute."""

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cron import catch_up
from orchestrator.inbox.schedules.ticker import Ticker

pytestmark = pytest.mark.anyio


def at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of 2026 in UTC."""
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


#: zone, cron, from, the fires of the eight hours after it. In New York 02:00 is left out on 8 March and 01:00 comes
#: twice on 1 November; in Berlin on 29 March and 25 October; on Lord Howe half an hour on 4 October and 5 April.
CHANGES = [
    ("America/New_York", "30 2 * * *", at(3, 8, 4), [at(3, 8, 7)]),  # left out, so at the end of the gap
    ("America/New_York", "30 * * * *", at(3, 8, 4), [at(3, 8, hour, 30) for hour in range(4, 12)]),
    ("America/New_York", "30 1 * * *", at(11, 1, 3), [at(11, 1, 5, 30)]),  # comes twice, fires the first time
    (
        "America/New_York",
        "*/30 1 * * *",
        at(11, 1, 3),
        [at(11, 1, 5), at(11, 1, 5, 30), at(11, 1, 6), at(11, 1, 6, 30)],
    ),
    ("Europe/Berlin", "15 2 * * *", at(3, 28, 23), [at(3, 29, 1)]),
    ("Europe/Berlin", "15 2 * * *", at(10, 24, 22), [at(10, 25, 0, 15)]),
    ("Europe/Berlin", "0 3 * * *", at(3, 28, 23), [at(3, 29, 1)]),
    ("Australia/Lord_Howe", "15 2 * * *", at(10, 3, 12), [at(10, 3, 15, 30)]),
    ("Australia/Lord_Howe", "45 1 * * *", at(4, 4, 12), [at(4, 4, 14, 45)]),
    ("Australia/Lord_Howe", "*/15 1 * * *", at(4, 4, 12), [at(4, 4, 14) + timedelta(minutes=15 * n) for n in range(6)]),
    ("UTC", "30 2 * * *", at(3, 8, 0), [at(3, 8, 2, 30)]),
]


@pytest.mark.parametrize(("zone", "cron", "start", "expected"), CHANGES)
async def test_each_wall_time_fires_as_the_rules_say(inbox, clock, fires_of, zone, cron, start, expected):
    """Whoever ticks every minute, and the schedule waits for the right moment after it."""
    clock.time = start
    await inbox.schedules.create("a.v1", cron=cron, tz=zone)
    ticker = Ticker(inbox)

    for _ in range(8 * 60):
        clock.advance(minutes=1)
        if clock.time.minute % 5 == 0:  # every fire here is on such a minute; what was due before is due still
            await ticker.tick()

    assert await fires_of(inbox) == expected


@pytest.mark.parametrize(("zone", "cron", "start", "expected"), CHANGES)
async def test_one_late_tick_makes_up_for_the_same_fires(inbox, clock, fires_of, zone, cron, start, expected):
    """All of them, where the schedule wants all."""
    clock.time = start
    await inbox.schedules.create("a.v1", cron=cron, tz=zone, misfire=catch_up(100))
    clock.advance(hours=8)

    await Ticker(inbox).tick()

    assert await fires_of(inbox) == expected


async def test_a_clock_that_is_set_back_fires_nothing_again(inbox, clock, fires_of):
    """What has fired has fired."""
    await inbox.schedules.create("a.v1", cron="0 * * * *")
    clock.advance(hours=1)
    ticker = Ticker(inbox)
    await ticker.tick()
    clock.advance(hours=-3)

    for _ in range(3):
        await ticker.tick()
        clock.advance(hours=1)
    await ticker.tick()

    assert await fires_of(inbox) == [at(3, 1, 13)]
