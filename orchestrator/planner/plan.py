"""The plan: every unit of a service, known and checked before anything runs."""

from collections.abc import Iterator, Mapping

from orchestrator.contracts.intents import JsonValue
from orchestrator.planner.declarations import Reading, class_path
from orchestrator.planner.errors import PlanError
from orchestrator.planner.identity import PHASES, PhaseName
from orchestrator.planner.listing import lines, policy_json, table, unit_json
from orchestrator.planner.policies import POLICIES
from orchestrator.planner.unit import Declaration, Unit


class Plan:
    """All units in the order they were declared: by phase, module, spec, and last by tenant.

    It keeps what was declared and makes units of it whenever it is asked, for there may be very many.
    """

    def __init__(self, readings: Mapping[str, Reading]) -> None:
        self.readings = readings

    @property
    def units(self) -> tuple[Unit, ...]:
        """Preflights, then workers."""
        return tuple(self)

    @property
    def preflights(self) -> tuple[Unit, ...]:
        """What must pass before any worker starts."""
        return tuple(self.each("preflight"))

    @property
    def workers(self) -> tuple[Unit, ...]:
        """What runs for ever after that."""
        return tuple(self.each("worker"))

    def each(self, phase: PhaseName) -> Iterator[Unit]:
        """The units of *phase*, one after the other."""
        for reading in self.readings.values():
            for declaration in reading.declarations:
                if declaration.phase != phase:
                    continue
                if not declaration.per_tenant:
                    yield declaration.unit(None, None)
                    continue
                for text, tenant in reading.tenants.items():
                    yield declaration.unit(text, tenant)

    def count(self, phase: PhaseName) -> int:
        """How many units *phase* has."""
        return sum(
            len(reading.tenants) if declaration.per_tenant else 1
            for reading in self.readings.values()
            for declaration in reading.declarations
            if declaration.phase == phase
        )

    def declarations(self, phase: PhaseName, module: str | None = None) -> Iterator[Declaration]:
        """What was declared for *phase*, by *module* or by all."""
        for name, reading in self.readings.items():
            if module is None or name == module:
                yield from (declared for declared in reading.declarations if declared.phase == phase)

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
        return sum(self.count(phase) for phase in PHASES)

    def __iter__(self) -> Iterator[Unit]:
        for phase in PHASES:
            yield from self.each(phase)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.units == other.units

    def __hash__(self) -> int:
        return hash(self.units)

    def __repr__(self) -> str:
        return f"<Plan: {self.count('preflight')} preflights, {self.count('worker')} workers>"

    def _reading(self, module: str) -> Reading:
        if module not in self.readings:
            raise PlanError([f"there is no module {module!r}; the plan has {', '.join(self.readings) or 'none'}"])
        return self.readings[module]


def _module_json(reading: Reading) -> JsonValue:
    return {"name": reading.name, "class": class_path(reading.module), "tenants": len(reading.tenants)}
