"""An inbox on each kind of database, and ways to make its schedules due."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.inbox import Inbox
from orchestrator.inbox.wire import to_text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, time: datetime = NOON) -> None:
        self.time = time

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **amount: float) -> None:
        self.time += timedelta(**amount)


@pytest.fixture
def clock() -> Clock:
    """Noon, until it is moved."""
    return Clock()


@pytest.fixture
async def inbox(tmp_path, clock) -> AsyncIterator[Inbox]:
    """An inbox on SQLite that goes by *clock*."""
    async with Inbox.open(f"sqlite:///{tmp_path / 'state.db'}", now=clock) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgres"])
async def each_inbox(request, tmp_path) -> AsyncIterator[Inbox]:
    """An inbox on each kind of database, in real time."""
    postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres_url") if postgres else f"sqlite:///{tmp_path / 'state.db'}"
    async with Inbox.open(url) as opened:
        yield opened


@pytest.fixture
def write():
    """Write rows as another program does."""

    async def call(inbox: Inbox, statement: str, **values: object) -> None:
        await inbox.database.transaction(lambda connection: connection.execute(statement, values))

    return call


@pytest.fixture
def make_due(write):
    """Put the next fire of a schedule back, or of all of them."""

    async def call(inbox: Inbox, schedule_id: str | None = None, at: datetime = NOON - timedelta(days=1)) -> None:
        where = "" if schedule_id is None else " WHERE id = :id"
        on_sqlite = inbox.database.dialect == "sqlite"  # type: ignore[attr-defined] # both kinds have it
        time = to_text(at) if on_sqlite else at
        await write(inbox, f"UPDATE workflow_schedule SET next_run_at = :at{where}", at=time, id=schedule_id)

    return call


@pytest.fixture
def fires_of():
    """The fires of which runs are stored, by their keys, in order."""

    async def call(inbox: Inbox) -> list[datetime]:
        runs = (await inbox.list(limit=1000)).runs
        seconds = sorted(int(str(run.idempotency_key).rsplit(":", 1)[1]) for run in runs)
        return [datetime.fromtimestamp(each, UTC) for each in seconds]

    return call
