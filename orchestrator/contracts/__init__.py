"""What a domain may import: values and protocols, standard library only.

Nothing here runs anything. A domain declares its work with specs, groups them in a :class:`Module`, raises errors that
may carry the capability attributes of :mod:`orchestrator.contracts.errors`, and meets storage and intents through the
ports :class:`Database` and :class:`Inbox`.
"""

from orchestrator.contracts.database import Connection, Cursor, Database, Row
from orchestrator.contracts.errors import ContractError, PermanentFailure, ServicePressure, SpecError
from orchestrator.contracts.intents import Inbox, IntentHandler, IntentRun, JsonValue, TypedIntentRun
from orchestrator.contracts.module import (
    GlobalPreflight,
    GlobalWorker,
    Module,
    Preflight,
    TenantAdded,
    TenantRemoved,
    Worker,
)
from orchestrator.contracts.run import Checkpoint, Run
from orchestrator.contracts.specs import (
    GlobalPreflightSpec,
    GlobalWorkerSpec,
    Missed,
    PreflightSpec,
    Scope,
    Timing,
    WorkerSpec,
)
from orchestrator.contracts.stall import ExtendBy, Kill, Nudge, Stall, StalledRun

__all__ = [
    "Checkpoint",
    "Connection",
    "ContractError",
    "Cursor",
    "Database",
    "ExtendBy",
    "GlobalPreflight",
    "GlobalPreflightSpec",
    "GlobalWorker",
    "GlobalWorkerSpec",
    "Inbox",
    "IntentHandler",
    "IntentRun",
    "JsonValue",
    "Kill",
    "Missed",
    "Module",
    "Nudge",
    "PermanentFailure",
    "Preflight",
    "PreflightSpec",
    "Row",
    "Run",
    "Scope",
    "ServicePressure",
    "SpecError",
    "Stall",
    "StalledRun",
    "TenantAdded",
    "TenantRemoved",
    "Timing",
    "TypedIntentRun",
    "Worker",
    "WorkerSpec",
]
