"""What a CronRunner tells its listeners. The same names are in its log lines; *subject* is the job's id."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from longrun.events import Event


@dataclass(frozen=True, slots=True)
class CronEvent(Event):
    """Something happened to a cron job, or to the pass that looked for jobs."""

    name: ClassVar[str] = "cron.event"


@dataclass(frozen=True, slots=True)
class PassFailed(CronEvent):
    """The host could not say what is due; nothing ran. *subject* is ``"cron"``."""

    name: ClassVar[str] = "cron.pass_failed"
    error: BaseException


@dataclass(frozen=True, slots=True)
class JobRan(CronEvent):
    """A job ran and is marked; *duration* in seconds, *lag* from its fire to the pass that found it."""

    name: ClassVar[str] = "cron.job_ran"
    duration: float
    lag: float
    next_at: datetime


@dataclass(frozen=True, slots=True)
class JobFailed(CronEvent):
    """A run raised, or its claim could not be asked for: the *failures*-th failure in a row, not before *retry_at*."""

    name: ClassVar[str] = "cron.job_failed"
    error: BaseException
    failures: int
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class JobUnmarked(CronEvent):
    """A job ran and could not be marked: it may run again, not before *retry_at*."""

    name: ClassVar[str] = "cron.job_unmarked"
    error: BaseException
    failures: int
    retry_at: datetime


@dataclass(frozen=True, slots=True)
class JobRefused(CronEvent):
    """A job has no next fire, because its expression cannot be used: it is not run. Told once for each expression."""

    name: ClassVar[str] = "cron.job_refused"
    error: BaseException


@dataclass(frozen=True, slots=True)
class JobLost(CronEvent):
    """Another runner holds the claim of this fire."""

    name: ClassVar[str] = "cron.job_lost"
    fire_at: datetime
