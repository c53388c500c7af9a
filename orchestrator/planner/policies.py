"""How failures are treated in each phase: plain data, printed by the plan and built into baselines by the scheduler."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from orchestrator.planner.identity import PhaseName


@dataclass(frozen=True, slots=True)
class Wait:
    """An exponential backoff: the first wait and the longest one, in seconds."""

    first: float
    longest: float

    def __str__(self) -> str:
        return f"{self.first:g} s .. {self.longest:g} s"


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """The wait before the next attempt for each category of failure; None: the failure is permanent at once."""

    node: Wait
    service: Wait
    unknown: Wait | None


#: Node failures (network, disk) clear quickly; a service asks for calm; what nobody knows stops a start-up, because a
#: mistake is likelier than an outage there, and degrades a worker, because it has run before.
POLICIES: Mapping[PhaseName, FailurePolicy] = MappingProxyType(
    {
        "preflight": FailurePolicy(node=Wait(2, 120), service=Wait(5, 300), unknown=None),
        "worker": FailurePolicy(node=Wait(2, 120), service=Wait(5, 300), unknown=Wait(30, 300)),
    }
)
