"""The planner: specs x tenants -> units. The only place that knows how many tenants there are."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from orchestrator.planner.declarations import AnyModule, Reading
from orchestrator.planner.errors import PlanError
from orchestrator.planner.identity import PHASES, PhaseName, TaskId
from orchestrator.planner.plan import Plan
from orchestrator.planner.unit import Declaration, Unit

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
        units = tuple(unit for phase in PHASES for unit in _units(phase, readings.values()))
        problems += _clashes(units)
        if problems:
            raise PlanError(problems)
        return Plan(units, readings)

    def infra_classifier(self) -> "InfraClassifier":
        """The step of classification that reads the capability attributes of a domain's errors."""
        from longrun import InfraClassifier

        return InfraClassifier()


def _units(phase: PhaseName, readings: Iterable[Reading]) -> Iterator[Unit]:
    for reading in readings:
        for declaration in reading.declarations:
            if declaration.phase != phase:
                continue
            if not declaration.per_tenant:
                yield declaration.unit(None, None)
                continue
            for text, tenant in reading.tenants.items():
                yield declaration.unit(text, tenant)


def _clashes(units: Iterable[Unit]) -> Iterator[str]:
    """One problem for each two declarations that share identities, however many tenants they share."""
    first: dict[TaskId, Declaration] = {}
    shared: Counter[tuple[int, int]] = Counter()
    example: dict[tuple[int, int], tuple[TaskId, Declaration, Declaration]] = {}
    for unit in units:
        owner = first.setdefault(unit.id, unit.declaration)
        if owner is not unit.declaration:
            pair = (id(owner), id(unit.declaration))
            shared[pair] += 1
            example.setdefault(pair, (unit.id, owner, unit.declaration))
    for pair, (task, one, other) in example.items():
        more = f" and {shared[pair] - 1} more" if shared[pair] > 1 else ""
        yield (
            f"{task}{more} is declared twice: by {one.declared_by} in module {one.module!r} and by "
            f"{other.declared_by} in module {other.module!r}; give one of them another resource"
        )
