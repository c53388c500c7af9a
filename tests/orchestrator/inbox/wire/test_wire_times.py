"""A time means the same wherever producer, worker and database are."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from orchestrator.inbox import InvalidIntent, State

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["Asia/Tokyo", "America/Los_Angeles", "America/New_York"])
def zone(request, monkeypatch):
    """This process lives there."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


async def fails(run):
    raise ConnectionError("away")


async def test_a_producer_anywhere_submits_for_now_and_a_worker_anywhere_waits_a_minute(zone, place, inbox, poll):
    """There, naive local times went over the wire: hours late in Tokyo, and no pause at all in New York."""
    run_id = await inbox.submit("mail.v1", 1)

    assert await poll(fails) == 1

    run = await inbox.get(run_id)
    assert (run.state, run.attempt) == (State.PENDING, 1)
    assert 50 < (run.run_at - datetime.now(UTC)).total_seconds() <= 66
    assert await poll(fails) == 0
    place.age(67)
    assert await poll(fails) == 1


@pytest.mark.parametrize("zone_of_server", ["America/Los_Angeles", "Asia/Tokyo"])
async def test_the_zone_of_the_database_does_not_matter(postgres_url, zone_of_server):
    """There, texts without a zone were sent, and the server read them in its own: eight hours late, nine early."""
    from orchestrator.inbox import Handlers, Inbox, Poller
    from tests.orchestrator.inbox.wire.foreign import Foreign

    operator = Foreign(postgres_url)
    name = operator.connection.info.dbname
    operator.run(f"ALTER DATABASE \"{name}\" SET timezone = '{zone_of_server}'")
    operator.close()
    soon = datetime.now(UTC) + timedelta(minutes=5)

    async def work(run):
        return "done"

    async with Inbox.open(postgres_url) as inbox:
        now = await inbox.submit("mail.v1", 1)
        later = await inbox.submit("mail.v1", 2, run_at=soon)
        schedule = await inbox.schedule("mail.v1").cron("0 12 * * *").create()
        count = await Poller(inbox, Handlers().add("mail.v1", work)).poll()

        assert (count, (await inbox.get(now)).state) == (1, State.SUCCEEDED)
        assert (await inbox.get(later)).run_at == soon
        assert (await inbox.schedules.get(schedule)).next_run_at.hour == 12


async def test_a_clock_of_ours_that_is_wrong_changes_no_time_in_the_database(postgres_url):
    """On PostgreSQL its clock alone counts."""
    from orchestrator.inbox import Handlers, Inbox, Poller

    async with Inbox.open(postgres_url, now=lambda: datetime.now(UTC) + timedelta(days=1)) as inbox:
        run_id = await inbox.submit("mail.v1", 1)
        count = await Poller(inbox, Handlers().add("mail.v1", fails)).poll()
        run = await inbox.get(run_id)

    assert count == 1
    assert abs((run.run_at - datetime.now(UTC)).total_seconds() - 60) < 10
    assert abs((run.created_at - datetime.now(UTC)).total_seconds()) < 10


async def test_a_time_without_a_zone_is_refused(inbox):
    """Nobody knows what it means elsewhere."""
    with pytest.raises(InvalidIntent, match="zone"):
        await inbox.submit("mail.v1", 1, run_at=datetime(2030, 1, 1))  # noqa: DTZ001 - the wrong value

    assert (await inbox.list()).runs == []


async def test_a_run_can_be_for_a_time_or_for_a_while_from_now(inbox):
    """There, the first of the two could not be called."""
    at = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=9)))

    first = await inbox.submit("mail.v1", 1, run_at=at)
    second = await inbox.submit("mail.v1", 2, delay=90)

    assert (await inbox.get(first)).run_at == at
    run = await inbox.get(second)
    assert (run.run_at - run.created_at).total_seconds() == 90


async def test_times_are_kept_to_the_microsecond(inbox):
    """Not to the second."""
    runs = [await inbox.get(await inbox.submit("mail.v1", n)) for n in range(5)]

    assert any(run.created_at.microsecond for run in runs)
    assert sorted(run.run_at for run in runs) == [run.run_at for run in runs]


@pytest.mark.parametrize("lease", [0.9, 0.05])
async def test_a_lease_below_a_second_is_a_lease(inbox, lease):
    """There, it was cut to whole seconds, and 900 ms made two owners."""
    from orchestrator.inbox.store.records import ClaimRequest

    run_id = await inbox.submit("mail.v1", 1)

    def take(connection):
        return inbox.store.claim(connection, ClaimRequest("ours", ["mail.v1"], 1, lease))

    await inbox.database.transaction(take)

    run = await inbox.get(run_id)
    assert (run.lease_until - run.updated_at).total_seconds() == pytest.approx(lease)
