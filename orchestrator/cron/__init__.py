"""Cron: when a schedule fires, what to do about fires that were missed, and a runner that asks its host what is due.

Who may live here: expressions, missed fires, the runner. Nothing that stores, and nothing that knows what a job does:
the inbox and the jobs bring that. A leaf: it imports :mod:`longrun` and the contracts' errors, and cronsim (the extra
``cron``) when the first expression of fields is parsed.
"""

from orchestrator.cron.errors import CronError, ExpressionError, RunnerError, ZoneError
from orchestrator.cron.events import CronEvent, JobFailed, JobLost, JobRan, JobRefused, JobUnmarked, PassFailed
from orchestrator.cron.expression import Cron, next_fire
from orchestrator.cron.missed import CatchUp, Fires, Missed, catch_up, due_fires, parse_missed
from orchestrator.cron.report import CronStatistics, DueJob, JobOutcome, PassReport
from orchestrator.cron.runner import CronRunner

__all__ = [
    "CatchUp",
    "Cron",
    "CronError",
    "CronEvent",
    "CronRunner",
    "CronStatistics",
    "DueJob",
    "ExpressionError",
    "Fires",
    "JobFailed",
    "JobLost",
    "JobOutcome",
    "JobRan",
    "JobRefused",
    "JobUnmarked",
    "Missed",
    "PassFailed",
    "PassReport",
    "RunnerError",
    "ZoneError",
    "catch_up",
    "due_fires",
    "next_fire",
    "parse_missed",
]
