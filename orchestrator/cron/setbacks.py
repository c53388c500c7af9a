"""Setbacks: which jobs failed, how often in a row, and until when each is left alone. Arithmetic; *now* comes in."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from longrun.backoff import Backoff


@dataclass(frozen=True, slots=True)
class Setback:
    """A job failed *failures* times in a row and waits until *retry_at*, *wait* seconds after the last of them."""

    failures: int
    wait: float
    retry_at: datetime


class Setbacks:
    """The jobs that are failing. A job that is not due any more once its wait is over is forgotten."""

    __slots__ = ("_backoff", "_jobs", "_rng")

    def __init__(self, backoff: Backoff, rng: Random) -> None:
        self._backoff = backoff
        self._rng = rng
        self._jobs: dict[str, Setback] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def waits(self, job: str, now: datetime) -> bool:
        """Whether *job* is still to be left alone."""
        setback = self._jobs.get(job)
        return setback is not None and now < setback.retry_at

    def failed(self, job: str, now: datetime) -> Setback:
        """Count a failure of *job*."""
        before = self._jobs.get(job)
        failures = before.failures if before else 0
        wait = max(0.0, self._backoff(failures, before.wait if before else 0.0, self._rng))
        setback = self._jobs[job] = Setback(failures + 1, wait, now + timedelta(seconds=wait))
        return setback

    def succeeded(self, job: str) -> None:
        """*job* works again."""
        self._jobs.pop(job, None)

    def keep(self, due: Container[str], now: datetime) -> None:
        """Forget those that are neither *due* nor waiting."""
        for job in [job for job, setback in self._jobs.items() if setback.retry_at <= now and job not in due]:
            del self._jobs[job]

    def next_retry(self, now: datetime) -> datetime | None:
        """When the first of those that wait may be tried again."""
        return min((setback.retry_at for setback in self._jobs.values() if setback.retry_at > now), default=None)
