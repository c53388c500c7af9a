"""The plan: every unit of a service, known and checked before anything runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from orchestrator.contracts.intents import JsonValue
from orchestrator.planner.declarations import Reading, class_path
from orchestrator.planner.errors import PlanError
from orchestrator.planner.identity import PhaseName
from orchestrator.planner.listing import lines, policy_json, table, unit_json
from orchestrator.planner.policies import POLICIES
from orchestrator.planner.unit import Unit


@dataclass(frozen=True, slots=True)
class Plan:
    """All units in the order they were declared: by phase, module, spec, and last by tenant."""

    units: tuple[Unit, ...]
    readings: Mapping[str, Reading] = field(repr=False, compare=False)

    @property
    def preflights(self) -> tuple[Unit, ...]:
        """What must pass before any worker starts."""
        return self._of("preflight")

    @property
    def workers(self) -> tuple[Unit, ...]:
        """What runs for ever after that."""
        return self._of("worker")

    def units_of(self, module: str, tenant: object) -> tuple[Unit, ...]:
        """The units that *tenant* has, or would have if it joined *module* now: preflights first, then workers.

        PlanError when the module is unknown or the tenant cannot name a unit. Whether a running unit has such an
        identity already is known to whoever runs them.
        """
        reading = self._reading(module)
        text = reading.tenant(tenant)
        return tuple(declared.unit(text, tenant) for declared in reading.declarations if declared.per_tenant)

    def forget(self, module: str, tenant: object) -> None:
        """Ask the module's ``resolve`` again at the next run of *tenant*: it left, or its preflights run anew."""
        reading = self._reading(module)
        text = reading.tenant(tenant)
        for declared in reading.declarations:
            declared.resolution.forget(text)

    def to_json(self) -> dict[str, JsonValue]:
        """The plan as JSON values: its modules, units, and the waits after a failure of each phase; seconds."""
        return {
            "modules": [_module_json(reading) for reading in self.readings.values()],
            "units": [unit_json(unit) for unit in self.units],
            "policies": {phase: policy_json(policy) for phase, policy in POLICIES.items()},
        }

    def __str__(self) -> str:
        return "\n".join(lines(table(self.units)))

    def __len__(self) -> int:
        return len(self.units)

    def __iter__(self) -> Iterator[Unit]:
        return iter(self.units)

    def _of(self, phase: PhaseName) -> tuple[Unit, ...]:
        return tuple(unit for unit in self.units if unit.phase == phase)

    def _reading(self, module: str) -> Reading:
        if module not in self.readings:
            raise PlanError([f"there is no module {module!r}; the plan has {', '.join(self.readings) or 'none'}"])
        return self.readings[module]


def _module_json(reading: Reading) -> JsonValue:
    return {"name": reading.name, "class": class_path(reading.module), "tenants": len(reading.tenants)}
