"""The two phases: preflights that must all pass, then workers that run for ever."""

from orchestrator.scheduler.outcome import PhaseOutcome, PhaseStatus, PreflightFailure, ServiceOutcome
from orchestrator.scheduler.policy import SchedulerPolicy
from orchestrator.scheduler.scheduler import Scheduler

__all__ = ["PhaseOutcome", "PhaseStatus", "PreflightFailure", "Scheduler", "SchedulerPolicy", "ServiceOutcome"]
