"""Longrun: resilient calls, and tasks that run for ever, on asyncio and trio.

Calls: :func:`do`, :class:`Pipeline` with :mod:`retry`, :mod:`backoff`, :mod:`timeout`, :func:`observe`.
Tasks: :class:`Task`, :class:`Runner` with :class:`Baseline`, :class:`Policy`, :class:`Category`, :class:`Gate`,
:class:`Critic`.

The names are loaded when they are first used, so that ``import longrun`` costs next to nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longrun import backoff, bulkhead, circuit, fallback, hedge, preset, ratelimit, retry, shed, timeout
    from longrun._version import __version__
    from longrun.attempt import Attempt, timeline
    from longrun.attempts import Attempts, AttemptStore, GuardedAttempts, MemoryAttempts, SqliteAttempts
    from longrun.checkpoint import (
        Checkpoint,
        CheckpointCorrupt,
        CheckpointError,
        CheckpointNewer,
        CheckpointStateError,
        CheckpointStore,
        CheckpointUnreachable,
        MemoryCheckpoints,
        Saved,
        SqliteCheckpoints,
    )
    from longrun.clock import Clock, SystemClock
    from longrun.critic.critic import Critic
    from longrun.critic.decision import Decision, ExtendBy, Kill, Nudge
    from longrun.critic.escalators import Escalator, ExtendOnce, KillAfter, Ladder
    from longrun.critic.info import RunInfo
    from longrun.errors import (
        BulkheadFull,
        CircuitOpen,
        EscalatorError,
        LongrunError,
        PipelineError,
        RateLimited,
        Rejected,
        RunKilled,
        RunnerError,
        Shed,
        StrayCancellation,
        TimeoutExceeded,
    )
    from longrun.failure.baseline import Baseline, Policy
    from longrun.failure.category import Category, Failure
    from longrun.failure.classify import Classifier, InfraClassifier, classify
    from longrun.observation import observe
    from longrun.option import Option
    from longrun.pipeline import Pipeline, compose, do
    from longrun.sqlite.errors import StoreError
    from longrun.task.gate import Gate
    from longrun.task.limit import Limit
    from longrun.task.outcome import HookFailure, Outcome, TaskFailure
    from longrun.task.run import Run
    from longrun.task.runner import Runner
    from longrun.task.statistics import RunnerStatistics
    from longrun.task.task import Task
    from longrun.task.terms import Terms
    from longrun.task.unit import TaskState
    from longrun.threads import blocking
    from longrun.tracing import trace

__all__ = [
    "Attempt",
    "AttemptStore",
    "Attempts",
    "Baseline",
    "BulkheadFull",
    "Category",
    "Checkpoint",
    "CheckpointCorrupt",
    "CheckpointError",
    "CheckpointNewer",
    "CheckpointStateError",
    "CheckpointStore",
    "CheckpointUnreachable",
    "CircuitOpen",
    "Classifier",
    "Clock",
    "Critic",
    "Decision",
    "Escalator",
    "EscalatorError",
    "ExtendBy",
    "ExtendOnce",
    "Failure",
    "Gate",
    "GuardedAttempts",
    "HookFailure",
    "InfraClassifier",
    "Kill",
    "KillAfter",
    "Ladder",
    "Limit",
    "LongrunError",
    "MemoryAttempts",
    "MemoryCheckpoints",
    "Nudge",
    "Option",
    "Outcome",
    "Pipeline",
    "PipelineError",
    "Policy",
    "RateLimited",
    "Rejected",
    "Run",
    "RunInfo",
    "RunKilled",
    "Runner",
    "RunnerError",
    "RunnerStatistics",
    "Saved",
    "Shed",
    "SqliteAttempts",
    "SqliteCheckpoints",
    "StoreError",
    "StrayCancellation",
    "SystemClock",
    "Task",
    "TaskFailure",
    "TaskState",
    "Terms",
    "TimeoutExceeded",
    "__version__",
    "backoff",
    "blocking",
    "bulkhead",
    "circuit",
    "classify",
    "compose",
    "do",
    "fallback",
    "hedge",
    "observe",
    "preset",
    "ratelimit",
    "retry",
    "shed",
    "timeline",
    "timeout",
    "trace",
]

_MODULES = frozenset(
    {"backoff", "bulkhead", "circuit", "fallback", "hedge", "preset", "ratelimit", "retry", "shed", "timeout"}
)
_HOMES = {
    **dict.fromkeys(
        ("AttemptStore", "Attempts", "GuardedAttempts", "MemoryAttempts", "SqliteAttempts"), "longrun.attempts"
    ),
    **dict.fromkeys(
        (
            "Checkpoint",
            "CheckpointCorrupt",
            "CheckpointError",
            "CheckpointNewer",
            "CheckpointStateError",
            "CheckpointStore",
            "CheckpointUnreachable",
            "MemoryCheckpoints",
            "Saved",
            "SqliteCheckpoints",
        ),
        "longrun.checkpoint",
    ),
    "StoreError": "longrun.sqlite.errors",
    "trace": "longrun.tracing",
    "Attempt": "longrun.attempt",
    "Baseline": "longrun.failure.baseline",
    "BulkheadFull": "longrun.errors",
    "Category": "longrun.failure.category",
    "CircuitOpen": "longrun.errors",
    "Classifier": "longrun.failure.classify",
    "Clock": "longrun.clock",
    "Critic": "longrun.critic.critic",
    "Decision": "longrun.critic.decision",
    "Escalator": "longrun.critic.escalators",
    "EscalatorError": "longrun.errors",
    "ExtendBy": "longrun.critic.decision",
    "ExtendOnce": "longrun.critic.escalators",
    "Failure": "longrun.failure.category",
    "Gate": "longrun.task.gate",
    "Limit": "longrun.task.limit",
    "RunnerStatistics": "longrun.task.statistics",
    "HookFailure": "longrun.task.outcome",
    "InfraClassifier": "longrun.failure.classify",
    "Kill": "longrun.critic.decision",
    "KillAfter": "longrun.critic.escalators",
    "Ladder": "longrun.critic.escalators",
    "LongrunError": "longrun.errors",
    "Nudge": "longrun.critic.decision",
    "Option": "longrun.option",
    "Outcome": "longrun.task.outcome",
    "Pipeline": "longrun.pipeline",
    "PipelineError": "longrun.errors",
    "Policy": "longrun.failure.baseline",
    "RateLimited": "longrun.errors",
    "Rejected": "longrun.errors",
    "Run": "longrun.task.run",
    "RunInfo": "longrun.critic.info",
    "RunKilled": "longrun.errors",
    "Runner": "longrun.task.runner",
    "RunnerError": "longrun.errors",
    "Shed": "longrun.errors",
    "StrayCancellation": "longrun.errors",
    "SystemClock": "longrun.clock",
    "Task": "longrun.task.task",
    "TaskFailure": "longrun.task.outcome",
    "TaskState": "longrun.task.unit",
    "Terms": "longrun.task.terms",
    "TimeoutExceeded": "longrun.errors",
    "__version__": "longrun._version",
    "blocking": "longrun.threads",
    "classify": "longrun.failure.classify",
    "compose": "longrun.pipeline",
    "do": "longrun.pipeline",
    "observe": "longrun.observation",
    "timeline": "longrun.attempt",
}


def __getattr__(name: str) -> object:
    """Load a public name from its home when it is first asked for (PEP 562)."""
    from importlib import import_module

    if name in _MODULES:
        value: object = import_module(f"longrun.{name}")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'longrun' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
