"""A host whose jobs live in a dict, in virtual time, with every answer of it written down."""

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from longrun.backoff import constant
from longrun.testing import VirtualClock, virtual_backend
from orchestrator.cron import CronRunner, DueJob, next_fire


class StartingAt(VirtualClock):
    """A virtual clock that begins at 2026-01-01T00:00:00Z, whatever the event loop's own time is."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self._origin: float | None = None

    def wall(self) -> float:
        self.reads += 1
        if self._origin is None:
            self._origin = anyio.current_time()
        return super().wall() - self._origin


class Host:
    """Jobs and what happened to them. *failing[what]* are the ids, or ``due`` itself, that raise."""

    def __init__(self, **jobs: str) -> None:
        self.clock = StartingAt()
        self.begin = datetime(2026, 1, 1, tzinfo=UTC)
        self.jobs = {name: DueJob(name, cron, self.begin) for name, cron in jobs.items()}
        self.calls: list[tuple[str, str]] = []
        self.marked: dict[str, tuple[datetime, datetime]] = {}
        self.fires: list[tuple[str, datetime]] = []
        self.work: dict[str, Callable[[], Awaitable[object]]] = {}
        self.running: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def answer(self, what: str, name: str) -> None:
        """Called for each callback; a test overrides it to raise."""

    def _called(self, what: str, name: str) -> None:
        self.calls.append((what, name))
        self.answer(what, name)

    async def due(self, now: datetime) -> Iterable[DueJob]:
        self._called("due", "")
        return [job for job in self.jobs.values() if job.fire_at <= now]

    def next(self, cron: str, after: datetime) -> datetime:
        self._called("next", cron)
        return next_fire(cron, after)

    async def run(self, name: str) -> None:
        self.running[name] = self.running.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self.running[name])
        self.most["*"] = max(self.most.get("*", 0), sum(self.running.values()))
        try:
            self._called("run", name)
            if name in self.work:
                await self.work[name]()
        finally:
            self.running[name] -= 1

    async def mark(self, name: str, ran_at: datetime, next_at: datetime) -> None:
        self._called("mark", name)
        self.marked[name] = (ran_at, next_at)
        job = self.jobs[name]
        self.jobs[name] = DueJob(name, job.cron, max(job.fire_at, next_at))

    async def claim(self, name: str, fire_at: datetime, until: datetime) -> bool:
        self._called("claim", name)
        if self.jobs[name].fire_at != fire_at:
            return False
        if until > fire_at:
            self.fires.append((name, fire_at))
        self.jobs[name] = DueJob(name, self.jobs[name].cron, until)
        return True

    async def upcoming(self, after: datetime) -> datetime | None:
        self._called("upcoming", "")
        return min((job.fire_at for job in self.jobs.values() if job.fire_at > after), default=None)

    def runner(self, **settings: Any) -> CronRunner:
        """A runner over this host; a job that fails waits exactly 100 s unless told otherwise."""
        settings = {"clock": self.clock, "backoff": constant(100), **settings}
        return CronRunner(self.due, self.run, self.mark, self.next, **settings)

    def ran(self) -> list[str]:
        """The ids in the order in which they ran."""
        return [name for what, name in self.calls if what == "run"]

    def since(self, seconds: float) -> datetime:
        """So many seconds after the beginning."""
        return self.begin + timedelta(seconds=seconds)


async def for_seconds(seconds: float, *calls: Callable[[], Awaitable[object]]) -> None:
    """Let *calls* go on for so long, then cancel them."""
    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as tg:
            for call in calls:
                tg.start_soon(call)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both backends in virtual time."""
    return virtual_backend(request.param)


@pytest.fixture
def new_host() -> type[Host]:
    """A host with jobs named by keyword: ``new_host(a="every 5m")``."""
    return Host


@pytest.fixture
def run_for() -> Callable[..., Awaitable[None]]:
    """Let calls go on for so many virtual seconds, then cancel them."""
    return for_seconds
