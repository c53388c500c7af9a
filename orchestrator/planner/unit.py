"""Units: one spec for one tenant, small enough that a hundred thousand of them cost nothing."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import CoroutineType

from orchestrator.contracts.run import Run
from orchestrator.contracts.specs import AnySpec
from orchestrator.planner.errors import WorkNotAsync
from orchestrator.planner.identity import PhaseName, TaskId
from orchestrator.planner.resolution import Resolution


@dataclass(frozen=True, slots=True, eq=False)
class Declaration:
    """One spec as a module declared it; the units of all its tenants share it.

    *module* is the name the module is registered under, *declared_by* the class whose ``task_spec()`` gave the spec;
    *completes*: its tenants go through the module's ``resolve`` before they are worked for.
    """

    phase: PhaseName
    spec: AnySpec
    module: str
    declared_by: str
    per_tenant: bool
    takes_run: bool
    completes: bool
    resolution: Resolution = field(repr=False, compare=False)

    def unit(self, text: str | None, tenant: object) -> "Unit":
        """The unit of this spec for *tenant*, which *text* names; ``(None, None)`` when it belongs to none."""
        return Unit(self, text, tenant)

    def name(self, text: str | None) -> str:
        """What the unit of the tenant *text* is called: its id as text."""
        place = f"{self.phase}:{self.spec.resource}"
        return place if text is None else f"{place}:{text}"

    def called(self, text: str | None, tenant: object, run: Run) -> Awaitable[None]:
        """The work, called for *tenant*, which *text* names. WorkNotAsync when it is no async function."""
        work: Callable[..., Awaitable[None]] = self.spec.work
        if self.per_tenant:
            outcome = work(tenant, run) if self.takes_run else work(tenant)
        else:
            outcome = work(run) if self.takes_run else work()
        if type(outcome) is not CoroutineType and not inspect.isawaitable(outcome):
            raise WorkNotAsync(
                f"{self.name(text)}: its work returned {type(outcome).__name__}, which cannot be awaited; "
                f"make the work that {self.declared_by} declares an async function"
            )
        return outcome


class Unit:
    """One spec for one tenant: what the scheduler runs. Immutable; it holds no closure, one is made for each run.

    Two units with the same id are equal.
    """

    __slots__ = ("declaration", "tenant", "text")

    def __init__(self, declaration: Declaration, text: str | None, tenant: object) -> None:
        self.declaration = declaration
        self.text = text
        self.tenant = tenant

    @property
    def id(self) -> TaskId:
        """What it is called."""
        return TaskId(self.declaration.phase, self.declaration.spec.resource, self.text)

    @property
    def name(self) -> str:
        """Its id as text."""
        return self.declaration.name(self.text)

    @property
    def phase(self) -> PhaseName:
        """When it runs: ``"preflight"`` once before all workers, ``"worker"`` for ever."""
        return self.declaration.phase

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unit) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Unit({self.name})"

    @property
    def spec(self) -> AnySpec:
        """What the domain declared."""
        return self.declaration.spec

    @property
    def module(self) -> str:
        """The name its module is registered under."""
        return self.declaration.module

    def work(self, run: Run) -> Awaitable[None]:
        """One run of the domain's work, to be awaited.

        A worker receives its tenant completed by the module's ``resolve``; a preflight receives it as configured,
        because a preflight may be what stores the things that ``resolve`` looks up. *run* is passed on when the work
        asks for it. Raises what the work or the lookup raises; WorkNotAsync when the work is no async function.
        """
        declaration, tenant = self.declaration, self.tenant
        if declaration.completes and self.text is not None:
            tenant = declaration.resolution.known(self.text)
            if tenant is None:
                return self._completed(run)
        return declaration.called(self.text, tenant, run)

    async def _completed(self, run: Run) -> None:
        assert self.text is not None
        tenant = await self.declaration.resolution.of(self.text, self.tenant)
        await self.declaration.called(self.text, tenant, run)
