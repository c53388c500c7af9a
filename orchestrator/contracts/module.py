"""A module: everything that one tenant type brings into a service."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from orchestrator.contracts.specs import GlobalPreflightSpec, GlobalWorkerSpec, PreflightSpec, WorkerSpec

T = TypeVar("T")


class Preflight(Protocol[T]):
    """Declares one check of every tenant."""

    def task_spec(self) -> PreflightSpec[T]: ...


class Worker(Protocol[T]):
    """Declares one interval worker of every tenant."""

    def task_spec(self) -> WorkerSpec[T]: ...


class GlobalPreflight(Protocol):
    """Declares one check that belongs to no tenant."""

    def task_spec(self) -> GlobalPreflightSpec: ...


class GlobalWorker(Protocol):
    """Declares one interval worker that belongs to no tenant."""

    def task_spec(self) -> GlobalWorkerSpec: ...


@dataclass(frozen=True, slots=True)
class TenantAdded(Generic[T]):
    """A tenant appeared while the service runs; it joins when its preflights pass."""

    tenant: T


@dataclass(frozen=True, slots=True)
class TenantRemoved(Generic[T]):
    """A tenant is gone; its units stop."""

    tenant: T


@runtime_checkable
class Module(Protocol[T]):
    """One tenant type with its specs. Subclass it and override what you have; everything but *name* has a default.

    A tenant is any value that can be hashed; ``str(tenant)`` is its identity in names, logs and metrics. A module
    without tenants has global specs only.
    """

    name: str

    def tenants(self) -> Sequence[T]:
        """The configured tenants, from settings: no I/O here."""
        return ()

    def preflights(self) -> Sequence[Preflight[T]]:
        """Checks run once for each tenant."""
        return ()

    def workers(self) -> Sequence[Worker[T]]:
        """Interval workers run for each tenant."""
        return ()

    def global_preflights(self) -> Sequence[GlobalPreflight]:
        """Checks run once."""
        return ()

    def global_workers(self) -> Sequence[GlobalWorker]:
        """Interval workers that belong to no tenant."""
        return ()

    async def resolve(self, tenant: T) -> T:
        """The tenant completed with what only storage knows; called before a tenant's first worker run, then cached.

        A failed lookup is not cached: it fails that run and is asked again at the next.
        """
        return tenant

    def watch(self) -> AsyncIterator[TenantAdded[T] | TenantRemoved[T]] | None:
        """Changes of the tenants while the service runs; None: there are none."""
        return None

    async def shutdown(self) -> None:
        """Called once after every unit has stopped, last module first."""
        return
