"""Longrun: resilient calls, and tasks that run for ever, on asyncio and trio.

Calls: :func:`do`, :class:`Pipeline` with :mod:`retry`, :mod:`backoff`, :mod:`timeout`, :func:`observe`.
Tasks: :class:`Task`, :class:`Runner` with :class:`Baseline`, :class:`Policy`, :class:`Category`, :class:`Gate`.
"""

from longrun import backoff, retry, timeout
from longrun._version import __version__
from longrun.attempt import Attempt, timeline
from longrun.blocking import blocking
from longrun.clock import Clock, SystemClock
from longrun.errors import (
    BulkheadFull,
    CircuitOpen,
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
from longrun.observe import observe
from longrun.option import Option
from longrun.pipeline import Pipeline, compose, do
from longrun.task.gate import Gate
from longrun.task.outcome import HookFailure, Outcome, TaskFailure
from longrun.task.run import Run
from longrun.task.runner import Runner
from longrun.task.task import Task
from longrun.task.unit import TaskState

__all__ = [
    "Attempt",
    "Baseline",
    "BulkheadFull",
    "Category",
    "CircuitOpen",
    "Classifier",
    "Clock",
    "Failure",
    "Gate",
    "HookFailure",
    "InfraClassifier",
    "LongrunError",
    "Option",
    "Outcome",
    "Pipeline",
    "PipelineError",
    "Policy",
    "RateLimited",
    "Rejected",
    "Run",
    "RunKilled",
    "Runner",
    "RunnerError",
    "Shed",
    "StrayCancellation",
    "SystemClock",
    "Task",
    "TaskFailure",
    "TaskState",
    "TimeoutExceeded",
    "__version__",
    "backoff",
    "blocking",
    "classify",
    "compose",
    "do",
    "observe",
    "retry",
    "timeline",
    "timeout",
]
