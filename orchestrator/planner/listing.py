"""How units look to a person and to a program."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from orchestrator.contracts.intents import JsonValue
from orchestrator.contracts.specs import GlobalWorkerSpec, WorkerSpec
from orchestrator.contracts.stall import Stall
from orchestrator.planner.policies import FailurePolicy
from orchestrator.planner.unit import Unit

#: The columns of the printed plan.
COLUMNS = ("PHASE", "RESOURCE", "TENANT", "MODULE", "INTERVAL", "TIMEOUT", "STALL", "SCOPE", "GATE")


def table(units: Iterable[Unit]) -> list[tuple[str, ...]]:
    """The printed plan: a heading, then one row for each unit; ``-`` where nothing is set."""
    return [COLUMNS, *(_row(unit) for unit in units)]


def lines(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """*rows* as aligned plain text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def unit_json(unit: Unit) -> JsonValue:
    """One unit as JSON values; what only workers have is left out of a preflight."""
    shown: dict[str, JsonValue] = {
        "id": str(unit.id),
        "phase": unit.phase,
        "resource": unit.id.resource,
        "tenant": unit.id.tenant,
        "module": unit.module,
        "timeout": unit.spec.timeout,
        "gate": unit.spec.gate,
    }
    if isinstance(unit.spec, WorkerSpec | GlobalWorkerSpec):
        shown |= {
            "interval": unit.spec.interval,
            "jitter": unit.spec.jitter,
            "timing": unit.spec.timing,
            "missed": unit.spec.missed,
            "scope": unit.spec.scope,
            "stall": _stall_json(unit.spec.stall),
        }
    return shown


def policy_json(policy: FailurePolicy) -> JsonValue:
    """One policy as JSON values; seconds."""
    waits: dict[str, JsonValue] = dict(asdict(policy))
    return waits | {"unknown": waits["unknown"] or "permanent"}


def _row(unit: Unit) -> tuple[str, ...]:
    spec = unit.spec
    interval = stall = scope = "-"
    if isinstance(spec, WorkerSpec | GlobalWorkerSpec):
        interval, scope = _seconds(spec.interval), spec.scope
        if spec.stall:
            stall = f"late after {_seconds(spec.stall.expected)}"
    timeout, tenant = _seconds(spec.timeout), unit.id.tenant or "-"
    return (unit.phase, unit.id.resource, tenant, unit.module, interval, timeout, stall, scope, spec.gate or "-")


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:g} s"


def _stall_json(stall: Stall | None) -> JsonValue:
    if stall is None:
        return None
    escalate = stall.escalate if isinstance(stall.escalate, str) else "custom"
    return {
        "expected": stall.expected,
        "idle": stall.idle,
        "backstop": stall.backstop,
        "ceiling": stall.ceiling,
        "escalate": escalate,
        "extend_by": stall.extend_by,
    }
