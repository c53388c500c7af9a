"""The planner: specs x tenants -> units. The only place that knows how many tenants there are."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrator.planner.declarations import AnyModule, Reading
from orchestrator.planner.errors import PlanError
from orchestrator.planner.identity import PhaseName
from orchestrator.planner.plan import Plan
from orchestrator.planner.unit import Declaration

if TYPE_CHECKING:
    from longrun import InfraClassifier


class Planner:
    """Multiplies the specs of *modules*, keyed by the name each is registered under, by their tenants."""

    def __init__(self, modules: Mapping[str, AnyModule]) -> None:
        self._modules = dict(modules)

    def plan(self) -> Plan:
        """The checked plan. PlanError lists everything that is wrong. Pure: no I/O, nothing runs."""
        readings = {name: Reading(name, module) for name, module in self._modules.items()}
        problems = [problem for reading in readings.values() for problem in reading.problems]
        problems += _clashes(readings)
        if problems:
            raise PlanError(problems)
        return Plan(readings)

    def infra_classifier(self) -> "InfraClassifier":
        """The step of classification that reads the capability attributes of a domain's errors."""
        from longrun import InfraClassifier

        return InfraClassifier()


def _clashes(readings: Mapping[str, Reading]) -> Iterator[str]:
    """One problem for each two declarations that share identities, however many tenants they share."""
    same: dict[tuple[PhaseName, str], list[tuple[Declaration, Iterable[str | None]]]] = {}
    for reading in readings.values():
        for declared in reading.declarations:
            whose: Iterable[str | None] = reading.tenants if declared.per_tenant else (None,)
            same.setdefault((declared.phase, declared.spec.resource), []).append((declared, whose))
    for claims in same.values():
        owners: dict[str | None, Declaration] = {}
        clashes: dict[int, tuple[Declaration, Declaration, list[str]]] = {}
        for declared, whose in claims if len(claims) > 1 else ():
            for text in whose:
                owner = owners.setdefault(text, declared)
                if owner is not declared:
                    clashes.setdefault(id(declared), (owner, declared, []))[2].append(declared.name(text))
        yield from (_clash(*clash) for clash in clashes.values())


def _clash(one: Declaration, other: Declaration, names: list[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"{names[0]}{more} is declared twice: by {one.declared_by} in module {one.module!r} and by "
        f"{other.declared_by} in module {other.module!r}; give one of them another resource"
    )
