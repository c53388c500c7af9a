"""A small service for the scheduler's tests, run in virtual time on asyncio and on trio."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from longrun.testing import RecordingListener, virtual_backend
from orchestrator.contracts import (
    GlobalPreflightSpec,
    GlobalWorkerSpec,
    Module,
    PreflightSpec,
    TenantAdded,
    TenantRemoved,
    WorkerSpec,
)
from orchestrator.planner import Planner
from orchestrator.scheduler import Scheduler, SchedulerPolicy, ServiceOutcome


@dataclass(frozen=True)
class Declares:
    """A preflight, or a worker, of a module."""

    spec: Any

    def task_spec(self) -> Any:
        return self.spec


class Shops(Module[Any]):
    """A module of the given specs and tenants; *changes* is what ``watch()`` iterates over."""

    name = "shops"
    tenants_optional = True

    def __init__(
        self,
        *specs: Any,
        tenants: Sequence[object] = ("a",),
        changes: Callable[[], AsyncIterator[Any]] | None = None,
    ) -> None:
        self._specs, self._tenants, self._changes = specs, tenants, changes

    def tenants(self) -> Sequence[object]:
        return self._tenants

    def preflights(self) -> Sequence[Any]:
        return self._of(PreflightSpec)

    def workers(self) -> Sequence[Any]:
        return self._of(WorkerSpec)

    def global_preflights(self) -> Sequence[Any]:
        return self._of(GlobalPreflightSpec)

    def global_workers(self) -> Sequence[Any]:
        return self._of(GlobalWorkerSpec)

    def watch(self) -> AsyncIterator[Any] | None:
        return None if self._changes is None else self._changes()

    def _of(self, kind: type) -> list[Declares]:
        return [Declares(spec) for spec in self._specs if isinstance(spec, kind)]


@dataclass
class Work:
    """Work of any unit: notes who ran and when; *behaviour* says what happens to whom."""

    behaviour: Callable[[Any], Awaitable[None]] | None = None
    runs: list[tuple[Any, float]] = field(default_factory=list)

    async def __call__(self, tenant: Any = None, /) -> None:
        self.runs.append((tenant, anyio.current_time()))
        if self.behaviour is not None:
            await self.behaviour(tenant)

    def of(self, tenant: object) -> list[float]:
        """When *tenant* ran."""
        return [at for who, at in self.runs if who == tenant]

    @property
    def tenants(self) -> set[object]:
        """Who ran at all."""
        return {who for who, _ in self.runs}


def raising(error: BaseException, *tenants: object) -> Callable[[Any], Awaitable[None]]:
    """Behaviour: raise *error* for *tenants*, for everybody when none is named."""

    async def behave(tenant: Any) -> None:
        if not tenants or tenant in tenants:
            raise error

    return behave


class Feed:
    """Changes of the tenants that the test makes: ``add`` and ``remove``, seen by ``watch()``."""

    def __init__(self) -> None:
        self._changes: deque[Any] = deque()
        self._news: anyio.Event | None = None
        self._ended = False

    async def __call__(self) -> AsyncIterator[Any]:
        while True:
            while self._changes:
                change = self._changes.popleft()
                if isinstance(change, Exception):
                    raise change
                yield change
            if self._ended:
                return
            self._news = anyio.Event()
            await self._news.wait()

    def add(self, tenant: object) -> None:
        self.say(TenantAdded(tenant))

    def remove(self, tenant: object) -> None:
        self.say(TenantRemoved(tenant))

    def say(self, something: object) -> None:
        """Anything: an exception is raised by the iterator."""
        self._changes.append(something)
        if self._news is not None:
            self._news.set()

    def end(self) -> None:
        self._ended = True
        if self._news is not None:
            self._news.set()


class Lab:
    """What the tests of this folder build their services from."""

    Shops = Shops
    Work = Work
    Feed = Feed
    raising = staticmethod(raising)

    @staticmethod
    def scheduler(*modules: Any, listeners: Sequence[Any] = (), classify: Any = None, **policy: Any) -> Scheduler:
        """A scheduler of *modules*, which are registered as shops, shops1, shops2, ..."""
        planner = Planner({f"shops{number or ''}": module for number, module in enumerate(modules)})
        return Scheduler(
            planner.plan(),
            planner.infra_classifier(),
            SchedulerPolicy(**policy),
            classify=classify,
            listeners=listeners,
        )

    @staticmethod
    async def run_for(length: float, scheduler: Scheduler, script: Callable[[], Awaitable[None]] | None = None):
        """Run *scheduler*, stop it after *length* seconds (of virtual time) and return what it came to."""
        outcomes: list[ServiceOutcome] = []

        async def main() -> None:
            outcomes.append(await scheduler.run())
            tg.cancel_scope.cancel()

        async with anyio.create_task_group() as tg:
            tg.start_soon(main)
            if script is not None:
                tg.start_soon(script)
            await anyio.sleep(length)
            scheduler.stop("the test is over")
            await anyio.sleep_forever()
        return outcomes[0]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both backends with a clock that jumps: hours take milliseconds."""
    return virtual_backend(request.param)


@pytest.fixture
def lab() -> type[Lab]:
    """Modules, work and schedulers."""
    return Lab


@pytest.fixture
def events() -> RecordingListener:
    """A listener that keeps what it hears."""
    return RecordingListener()
