"""The two tenant types of the soak: ten workers for each tenant, slow ones for shops, quick ones for a few express."""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from orchestrator.contracts import (
    ExtendBy,
    Kill,
    Module,
    Nudge,
    PreflightSpec,
    Stall,
    TenantAdded,
    TenantRemoved,
    WorkerSpec,
)

INTERVALS = {
    "shops": (240, 480, 480, 600, 900, 900, 1200, 1800, 3600, 3600),
    "express": (10, 15, 20, 30, 60, 60, 120, 300, 600, 3600),
}
RESOURCES = ("poll", "sync", "index", "mail", "report", "scan", "export", "audit", "bill", "tidy")


@dataclass(frozen=True)
class Declares:
    """A preflight, or a worker, of a module."""

    spec: Any

    def task_spec(self) -> Any:
        return self.spec


class Tenants(Module[str]):
    """One tenant type of the world."""

    def __init__(
        self,
        name: str,
        tenants: Sequence[str],
        check: PreflightSpec[str],
        specs: Sequence[WorkerSpec[str]],
        resolve: Callable[[str], Awaitable[str]],
    ) -> None:
        self.name = name
        self.changes: deque[TenantAdded[str] | TenantRemoved[str]] = deque()
        self.news = anyio.Event()
        self._tenants = tuple(tenants)
        self._check = check
        self._specs = tuple(specs)
        self._resolve = resolve

    def tenants(self) -> Sequence[str]:
        return self._tenants

    def preflights(self) -> Sequence[Declares]:
        return [Declares(self._check)]

    def workers(self) -> Sequence[Declares]:
        return [Declares(spec) for spec in self._specs]

    async def resolve(self, tenant: str) -> str:
        return await self._resolve(tenant)

    async def watch(self) -> AsyncIterator[TenantAdded[str] | TenantRemoved[str]]:  # type: ignore[override]  # a generator
        while True:
            while self.changes:
                yield self.changes.popleft()
            self.news = anyio.Event()
            await self.news.wait()

    def say(self, change: TenantAdded[str] | TenantRemoved[str]) -> None:
        self.changes.append(change)
        self.news.set()


def preflight(module: str, check: Callable[[str], Awaitable[None]]) -> PreflightSpec[str]:
    """The check of a tenant of *module*."""
    return PreflightSpec("reach" if module == "shops" else "connect", check)


def workers(module: str, scale: float, pace: float, limit: int, work: Callable[[str], Any]) -> list[WorkerSpec[str]]:
    """The ten workers of a tenant of *module*: with time limits, critics, a shared gate, a limit, both timings."""
    s = scale
    terms: dict[str, dict[str, Any]] = {
        "poll": {"timeout": 30 * s},
        "sync": {"gate": "token"},
        "index": {"limit": limit},
        "mail": {"stall": Stall(20 * s, tick=5 * s)},
        "report": {"stall": Stall(20 * s, escalate="extend_once", extend_by=60 * s, ceiling=90 * s)},
        "scan": {"stall": Stall(40 * s, idle=15 * s, escalate=_decide, tick=10 * s)},
        "export": {"timing": "fixed_delay"},
        "audit": {"missed": "catch_up_one", "jitter": 5 * s},
        "bill": {"timeout": 60 * s},
        "tidy": {},
    }
    return [
        WorkerSpec(
            resource_of(module, resource), interval * s * pace, work(resource_of(module, resource)), **terms[resource]
        )
        for resource, interval in zip(RESOURCES, INTERVALS[module], strict=True)
    ]


async def _decide(run: Any) -> object:
    """A domain's own word about a stalled run."""
    if not run.nudges:
        return Nudge("still there?")
    return ExtendBy(60) if run.extensions == 0 else Kill("no sign of life")


def resource_of(module: str, resource: str) -> str:
    """What the worker is called: two modules have names of their own."""
    return resource if module == "shops" else f"express-{resource}"
