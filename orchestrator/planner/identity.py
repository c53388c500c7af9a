"""The identity of a unit, and the one text that stands for it."""

from dataclasses import dataclass
from typing import Literal, Self, TypeAlias, get_args

from orchestrator.planner.errors import TaskIdError

PhaseName: TypeAlias = Literal["preflight", "worker"]

PHASES: tuple[PhaseName, ...] = get_args(PhaseName)


@dataclass(frozen=True, slots=True)
class TaskId:
    """What a unit is called in the plan, in logs, metrics and commands.

    ``str()`` renders ``phase:resource:tenant``, or ``phase:resource`` for a unit that belongs to no tenant. No two
    identities share a text: phase and resource hold no colon, so whatever a tenant's text holds stays in the last
    part. :meth:`parse` is the way back. A part that cannot be rendered so raises TaskIdError.
    """

    phase: PhaseName
    resource: str
    tenant: str | None = None

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise TaskIdError(f"task phase is {self.phase!r}; use one of {', '.join(PHASES)}")
        if not self.resource or ":" in self.resource:
            raise TaskIdError(f"task resource is {self.resource!r}; give a name without a colon")
        if self.tenant == "":
            raise TaskIdError(f"task {self.phase}:{self.resource} has an empty tenant; give its text, or None")

    def __str__(self) -> str:
        if self.tenant is None:
            return f"{self.phase}:{self.resource}"
        return f"{self.phase}:{self.resource}:{self.tenant}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The identity that renders as *text*; TaskIdError when there is none."""
        phase, colon, rest = text.partition(":")
        resource, second, tenant = rest.partition(":")
        for known in PHASES:
            if phase == known and colon and resource and bool(second) == bool(tenant):
                return cls(known, resource, tenant or None)
        raise TaskIdError(
            f"{text!r} is no task id; write phase:resource:tenant or phase:resource with phase one of "
            f"{', '.join(PHASES)}, for example 'worker:issue-poller:acme/shop'"
        )
