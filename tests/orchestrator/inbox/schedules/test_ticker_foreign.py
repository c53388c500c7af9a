"""Our ticker beside those of simple-workflow, on the same PostgreSQL tables at the same time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from orchestrator.inbox import Inbox
from orchestrator.inbox.schedules.ticker import Ticker

pytestmark = pytest.mark.anyio

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class ForeignTicker:
    """What their ticker does in its one transaction, which ends with :meth:`commit`."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, options="-c search_path=workflow")

    def begin(self, limit: int = 10) -> int:
        """Take what is due, store its runs, move it on by an hour; how many."""
        due = self.connection.execute(
            "SELECT id, type, payload::text, next_run_at, priority, max_attempts FROM workflow_schedule "
            "WHERE next_run_at <= now() AND enabled = true AND deleted_at IS NULL FOR UPDATE SKIP LOCKED LIMIT %s",
            [limit],
        ).fetchall()
        for id_, type_, payload, at, priority, attempts in due:
            self.connection.execute(
                "INSERT INTO workflow_run (id, type, payload, priority, run_at, idempotency_key, max_attempts) "
                "VALUES (gen_random_uuid(), %s, %s::jsonb, %s, now(), %s, %s) ON CONFLICT (idempotency_key) DO NOTHING",
                [type_, payload, priority, f"schedule:{id_}:{int(at.timestamp())}", attempts],
            )
            self.connection.execute(
                "UPDATE workflow_schedule SET next_run_at = now() + interval '1 hour', last_run_at = now() "
                "WHERE id = %s",
                [id_],
            )
        return len(due)

    def commit(self) -> None:
        """Their transaction ends."""
        self.connection.commit()


@pytest.fixture
async def inbox(postgres_url):
    """An inbox on the tables that both use."""
    async with Inbox.open(postgres_url) as opened:
        yield opened


@pytest.fixture
def theirs(inbox, postgres_url) -> Iterator[ForeignTicker]:
    """Their ticker."""
    ticker = ForeignTicker(postgres_url)
    yield ticker
    ticker.connection.close()


async def test_what_their_ticker_holds_is_left_to_it(inbox, theirs, make_due):
    """Ours waits for nobody, fires the rest, and nothing twice when theirs has ended."""
    for _ in range(12):
        await inbox.schedules.create("a.v1", {"n": 1}, cron="0 0 1 1 *", priority=5)
    await make_due(inbox, at=LONG_AGO)
    held = theirs.begin(5)

    ours = await Ticker(inbox).tick()
    theirs.commit()
    again = await Ticker(inbox).tick()

    runs = (await inbox.list(limit=100)).runs
    assert (held, ours, again) == (5, 7, 0)
    assert len({str(run.idempotency_key).split(":")[1] for run in runs}) == len(runs) == 12
    assert {(run.type, run.priority) for run in runs} == {("a.v1", 5)}


async def test_their_ticker_finds_nothing_that_ours_has_fired(inbox, theirs, make_due):
    """It moved on with its runs."""
    await inbox.schedules.create("a.v1", cron="* * * * *")
    await make_due(inbox, at=LONG_AGO)

    ours = await Ticker(inbox).tick()

    assert (ours, theirs.begin()) == (1, 0)


async def test_a_row_of_theirs_that_means_nothing_is_not_waited_for(inbox, theirs):
    """Their transaction holds the row with the year 1; ours parks it the next time."""
    schedule_id = await inbox.schedules.create("a.v1", cron="* * * * *")
    good = await inbox.schedules.create("b.v1", cron="* * * * *")
    theirs.connection.execute("UPDATE workflow_schedule SET next_run_at = '0001-01-01+00' WHERE id = %s", [schedule_id])
    theirs.connection.execute("UPDATE workflow_schedule SET next_run_at = now() WHERE id = %s", [good])
    theirs.commit()
    theirs.connection.execute("SELECT 1 FROM workflow_schedule WHERE id = %s FOR UPDATE", [schedule_id])

    first = await Ticker(inbox).tick()
    meanwhile = await inbox.schedules.get(schedule_id)
    theirs.commit()
    second = await Ticker(inbox).tick()

    parked = await inbox.schedules.get(schedule_id)
    assert (first, second) == (1, 0)
    assert (meanwhile.enabled, parked.enabled) == (True, False)
    assert parked.next_run_at - LONG_AGO < timedelta()
