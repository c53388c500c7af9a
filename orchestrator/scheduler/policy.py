"""How the scheduler runs its phases: plain data, from settings or from code."""

from dataclasses import dataclass
from typing import Literal

from longrun import Baseline, Classifier, Policy, backoff
from orchestrator.planner.identity import PhaseName
from orchestrator.planner.policies import POLICIES, Wait


@dataclass(frozen=True, slots=True)
class SchedulerPolicy:
    """Durations are seconds; the defaults are those of the settings ``[orchestrator]``, where each is described."""

    preflight_deadline: float = 300.0
    preflight_cap: float | None = None
    preflight_concurrency: int = 100
    settle: float = 5.0
    shutdown_timeout: float = 30.0
    on_preflight_failure: Literal["stop", "quarantine"] = "stop"
    on_worker_failure: Literal["quarantine", "stop"] = "quarantine"
    max_running: int = 1000
    max_running_per_tenant: int | None = None
    splay: float | bool = True


def baseline(phase: PhaseName, capabilities: Classifier, classify: Classifier | None = None) -> Baseline:
    """The baseline of *phase*, as the plan prints it."""
    policy = POLICIES[phase]
    return Baseline(
        node=_curve(policy.node),
        service=_curve(policy.service),
        degraded=None if policy.unknown is None else _curve(policy.unknown),
        classify=classify,
        capabilities=capabilities,
    )


def _curve(wait: Wait) -> Policy:
    return Policy(backoff.exponential(wait.first, wait.longest))
