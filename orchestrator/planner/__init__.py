"""Planning: what a service will run, known and checked before anything runs. No I/O in here."""

from orchestrator.planner.declarations import AnyModule
from orchestrator.planner.errors import PlanError, TaskIdError, WorkNotAsync
from orchestrator.planner.identity import PhaseName, TaskId
from orchestrator.planner.plan import Plan
from orchestrator.planner.planner import Planner
from orchestrator.planner.policies import POLICIES, FailurePolicy, Wait
from orchestrator.planner.unit import Declaration, Unit

__all__ = [
    "POLICIES",
    "AnyModule",
    "Declaration",
    "FailurePolicy",
    "PhaseName",
    "Plan",
    "PlanError",
    "Planner",
    "TaskId",
    "TaskIdError",
    "Unit",
    "Wait",
    "WorkNotAsync",
]
