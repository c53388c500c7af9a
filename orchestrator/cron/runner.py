"""CronRunner: asks its host what is due, runs it, and tells the host so. It owns no store and no grammar."""

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NoReturn

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from longrun.backoff import Backoff, exponential
from longrun.clock import Clock, SystemClock
from longrun.durations import Duration, seconds
from longrun.events import Event, Listener, emit
from orchestrator.cron.errors import CronError, RunnerError
from orchestrator.cron.events import JobFailed, JobLost, JobRan, JobRefused, JobUnmarked, PassFailed
from orchestrator.cron.host import Claim, Due, Mark, Next, Run, Upcoming, check_callbacks, foreign, said
from orchestrator.cron.report import CronStatistics, DueJob, JobOutcome, PassReport, Result, Tally
from orchestrator.cron.setbacks import Setbacks
from orchestrator.cron.zone import instant

#: What a job that fails waits: a minute at first, an hour at most.
BACKOFF = exponential(60, 3600)


class CronRunner:
    """Runs the jobs of a host that are due, pass after pass.

    The host gives four callbacks. ``due(now)`` names the jobs that are due as :class:`DueJob`; ``next(cron, after)`` is
    the next fire of an expression (:func:`orchestrator.cron.next_fire` is one); ``run(id)`` does the work;
    ``mark(id, ran_at, next_at)`` stores that the pass of *ran_at* has run the job, which is due again at *next_at*.

    **Without** *claim* **each fire is run at least once**: a job stays due until it is marked, so ``run`` must be
    idempotent, and two runners over one store may both run it. **With** ``claim(id, fire_at, until)`` **no two runners
    run the same fire**: in one atomic step it moves the job's stored fire from *fire_at* to *until* and says True, or
    says False because the fire is not *fire_at* any more. After a failed or cancelled run the runner claims back, from
    *until* to the moment at which the job may be tried again; a process that dies in between leaves this fire out.
    ``mark`` must then never move the stored fire back: other runners may have claimed the next one by now.

    Fires that were missed come down to one run, because *next_at* is reckoned from now; :func:`due_fires` offers more.
    A run that is cut off is not marked. ``mark`` and ``claim`` themselves are finished even when the runner is being
    cancelled, within *write_timeout* seconds; one that takes longer counts as failed.
    """

    def __init__(
        self,
        due: Due,
        run: Run,
        mark: Mark,
        next: Next,  # noqa: A002 - the callback is called what it gives
        *,
        interval: Duration = 60,
        clock: Clock | None = None,
        logger: logging.Logger | None = None,
        limit: int = 16,
        claim: Claim | None = None,
        upcoming: Upcoming | None = None,
        backoff: Backoff = BACKOFF,
        write_timeout: Duration = 5,
        listeners: Iterable[Listener] = (),
        rng: Random | None = None,
    ) -> None:
        """RunnerError when a callback is missing or a number is out of range.

        *interval*: seconds between two passes. *upcoming(after)*: the earliest stored fire later than *after*, or None;
        with it the runner wakes for that fire instead of up to *interval* late. *limit*: runs at the same time.
        *backoff*: how long a job that fails is left alone.
        """
        check_callbacks({"due": due, "run": run, "mark": mark, "next": next}, {"claim": claim, "upcoming": upcoming})
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise RunnerError(f"CronRunner limit is {limit!r}; give a whole number of at least 1")
        try:
            self._interval = seconds(interval, "CronRunner interval")
            self._write_timeout = seconds(write_timeout, "CronRunner write_timeout")
        except ValueError as error:
            raise RunnerError(str(error)) from None
        self._due, self._work, self._mark, self._next = due, run, mark, next
        self._claim, self._upcoming = claim, upcoming
        self._clock = clock or SystemClock()
        self._logger = logger or logging.getLogger("orchestrator.cron")
        self._listeners = tuple(listeners)
        self._slots = anyio.Semaphore(limit)
        self._setbacks = Setbacks(backoff, rng or Random())
        self._running: dict[str, datetime] = {}
        self._refused: dict[str, str] = {}
        self._counts: Counter[str] = Counter()
        self._last_pass: datetime | None = None

    def statistics(self) -> CronStatistics:
        """Counts since the beginning, as a value."""
        return CronStatistics(
            **self._counts, running=len(self._running), failing=len(self._setbacks), last_pass=self._last_pass
        )

    async def tick(self) -> PassReport:
        """One pass: run what is due and wait for it. Raises what ``due`` raises, and then has run nothing."""
        now, due = await self._look()
        tally = Tally(now, len(due))
        async with anyio.create_task_group() as runs:
            await self._start(runs, due, tally)
        return tally.report()

    async def run(self) -> NoReturn:
        """Pass after pass until cancelled, the first at once. A pass does not wait for the runs of the one before."""
        async with anyio.create_task_group() as runs:
            while True:  # noqa: ASYNC110 - it is time that passes are waiting for
                await anyio.sleep(await self._round(runs))
        raise AssertionError("unreachable")  # a task group swallows exceptions for all mypy knows

    async def _round(self, runs: TaskGroup) -> float:
        """One pass; then how long to wait for the next, in seconds."""
        began = self._clock.now()
        try:
            now, due = await self._look()
        except Exception as error:  # noqa: BLE001 - foreign code, and the loop must go on
            self._tell(PassFailed("cron", error), logging.ERROR, "%s; again in %.0f s", said(error), self._interval)
            return self._interval
        await self._start(runs, due, Tally(now, len(due)))
        moments = [self._setbacks.next_retry(now), await self._soonest(now)]
        waits = [(moment - now).total_seconds() for moment in moments if moment is not None]
        return max(0.0, min([self._interval, *waits]) - (self._clock.now() - began))

    async def _look(self) -> tuple[datetime, list[DueJob]]:
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        self._counts["passes"] += 1
        self._last_pass = now
        try:
            due = list(await foreign(self._due(now)))
        except Exception:
            self._counts["passes_failed"] += 1
            raise
        self._counts["due"] += len(due)
        ids = {job.id if isinstance(job, DueJob) else repr(job) for job in due}
        self._setbacks.keep(ids, now)
        self._refused = {job: cron for job, cron in self._refused.items() if job in ids}
        return now, due

    async def _soonest(self, now: datetime) -> datetime | None:
        """The first fire that is known of; None when the store cannot tell."""
        if self._upcoming is None:
            return None
        fires = [*self._running.values()]  # the store does not know of these before they are marked
        try:
            moment = await foreign(self._upcoming(now))
            if moment is not None:
                fires.append(instant(moment, "the upcoming fire"))
        except Exception as error:  # noqa: BLE001 - foreign code; the interval does without it
            self._logger.warning(
                "cron.upcoming_failed: %s; the next pass is within %.0f s", said(error), self._interval
            )
        return min((fire for fire in fires if fire > now), default=None)  # what is past was looked at in this pass

    async def _start(self, runs: TaskGroup, due: list[DueJob], tally: Tally) -> None:
        """Start what may run, in the host's order, each as soon as there is a slot."""
        seen: set[str] = set()
        for job in due:
            next_at = self._planned(job, seen, tally)
            if next_at is None:
                continue
            self._running[job.id] = next_at
            try:
                await self._slots.acquire()
            except BaseException:
                self._running.pop(job.id, None)
                raise
            runs.start_soon(self._guarded, job, next_at, tally, name=f"cron {job.id}")

    def _planned(self, job: DueJob, seen: set[str], tally: Tally) -> datetime | None:
        """The next fire of *job*, or None when it is not to run in this pass."""
        if not isinstance(job, DueJob):
            self._refuse(repr(job), "", RunnerError(f"due() named {job!r}; give DueJob values"), tally)
        elif job.id in seen:
            self._note(tally, job.id, "repeated")
        elif job.id in self._running:
            self._note(tally, job.id, "overlapping")
        elif self._setbacks.waits(job.id, tally.now):
            self._note(tally, job.id, "waiting")
        else:
            seen.add(job.id)
            try:
                instant(job.fire_at, f"fire_at of cron job {job.id!r}")
                return self._next_of(job, tally.now)
            except Exception as error:  # noqa: BLE001 - foreign code; it costs this job, and no other
                self._refuse(job.id, f"{job.cron} {job.fire_at}", error, tally)
        return None

    def _next_of(self, job: DueJob, now: datetime) -> datetime:
        next_at = instant(self._next(job.cron, now), f"the next fire of cron job {job.id!r}")
        if next_at <= now:
            raise CronError(
                f"the next fire of cron job {job.id!r} ({job.cron!r}) is {next_at.isoformat()}, not after "
                f"{now.isoformat()}; next(cron, after) must give a later moment"
            )
        self._refused.pop(job.id, None)
        return next_at

    async def _guarded(self, job: DueJob, next_at: datetime, tally: Tally) -> None:
        try:
            await self._fire(job, next_at, tally)
        except Exception as error:  # a backoff of the host is foreign code as well
            self._note(tally, job.id, "failed", error)
            self._logger.exception("cron.job_crashed: job %s", job.id)
        finally:
            self._running.pop(job.id, None)
            self._slots.release()

    async def _fire(self, job: DueJob, next_at: datetime, tally: Tally) -> None:
        began = self._clock.now()
        held = False
        try:
            if self._claim is not None:
                with anyio.fail_after(self._write_timeout, shield=True):  # cut off, nobody would know whose it is
                    held = await foreign(self._claim(job.id, job.fire_at, next_at))
                if not held:
                    self._note(tally, job.id, "lost")
                    self._tell(JobLost(job.id, job.fire_at), logging.DEBUG, "another runner has its claim")
                    return
            await anyio.lowlevel.checkpoint_if_cancelled()  # no work begins in a runner that stops
            await foreign(self._work(job.id))
        except Exception as error:  # noqa: BLE001 - a job may raise anything: this is where failures are caught
            await self._failed(job, next_at, tally, began, error, held=held)
            return
        except BaseException:
            self._note(tally, job.id, "cancelled")
            if held:
                await self._give_back(job, next_at, job.fire_at)
            raise
        took = self._clock.now() - began
        try:
            with anyio.fail_after(self._write_timeout, shield=True):
                await foreign(self._mark(job.id, tally.now, next_at))
        except Exception as error:  # noqa: BLE001 - foreign code; the job may run again
            self._unmarked(job, tally, began, error)
            return
        self._setbacks.succeeded(job.id)
        self._note(tally, job.id, "ran")
        lag = (tally.now - job.fire_at).total_seconds()
        self._tell(JobRan(job.id, took, lag, next_at), logging.DEBUG, "in %.3f s, next %s", took, next_at.isoformat())

    async def _failed(
        self, job: DueJob, next_at: datetime, tally: Tally, began: float, error: Exception, *, held: bool
    ) -> None:
        setback = self._setbacks.failed(job.id, self._later(tally, began))
        self._note(tally, job.id, "failed", error)
        event = JobFailed(job.id, error, setback.failures, setback.retry_at)
        again = setback.retry_at.isoformat(timespec="seconds")
        text = "%s; failure %d in a row, not again before %s"
        self._tell(event, logging.WARNING, text, said(error), setback.failures, again)
        if held and setback.retry_at < next_at:
            await self._give_back(job, next_at, setback.retry_at)

    def _unmarked(self, job: DueJob, tally: Tally, began: float, error: Exception) -> None:
        setback = self._setbacks.failed(job.id, self._later(tally, began))
        self._note(tally, job.id, "unmarked", error)
        event = JobUnmarked(job.id, error, setback.failures, setback.retry_at)
        again = setback.retry_at.isoformat(timespec="seconds")
        self._tell(event, logging.ERROR, "ran, but %s; may run again after %s", said(error), again)

    async def _give_back(self, job: DueJob, claimed_until: datetime, fire_at: datetime) -> None:
        assert self._claim is not None
        try:
            with anyio.fail_after(self._write_timeout, shield=True):
                await foreign(self._claim(job.id, claimed_until, fire_at))
        except Exception as error:  # noqa: BLE001 - foreign code; the claim runs out by itself
            until = claimed_until.isoformat()
            self._logger.warning("cron.claim_kept: job %s: %s; it rests until %s", job.id, said(error), until)

    def _later(self, tally: Tally, began: float) -> datetime:
        """Now, without asking the wall clock a second time in a pass: it may have been set meanwhile."""
        return tally.now + timedelta(seconds=max(0.0, self._clock.now() - began))

    def _refuse(self, job: str, declared: str, error: Exception, tally: Tally) -> None:
        self._note(tally, job, "refused", error)
        if self._refused.get(job) != declared:
            self._refused[job] = declared
            self._tell(JobRefused(job, error), logging.ERROR, "%s; it is not run until that is put right", said(error))

    def _note(self, tally: Tally, job: str, result: Result, error: BaseException | None = None) -> None:
        self._counts[result] += 1
        tally.outcomes.append(JobOutcome(job, result, error))

    def _tell(self, event: Event, level: int, text: str, *values: object) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, f"%s: %s: {text}", event.name, event.subject, *values)
        emit(self._listeners, event)
