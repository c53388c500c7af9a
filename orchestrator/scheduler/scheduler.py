"""Scheduler: phase 1, and only when it has passed, phase 2."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from longrun import Classifier
from longrun.events import Listener
from orchestrator.planner import Plan
from orchestrator.scheduler.controls import ControlError, Controls
from orchestrator.scheduler.outcome import PhaseOutcome, ServiceOutcome
from orchestrator.scheduler.policy import SchedulerPolicy, baseline
from orchestrator.scheduler.preflights import Preflights
from orchestrator.scheduler.unit_task import Gates
from orchestrator.scheduler.workers import Workers
from orchestrator.state import State


class Scheduler:
    """Runs *plan* once. *capabilities* is the planner's ``infra_classifier()``, *classify* the service's own."""

    def __init__(
        self,
        plan: Plan,
        capabilities: Classifier,
        policy: SchedulerPolicy | None = None,
        *,
        classify: Classifier | None = None,
        listeners: Iterable[Listener] = (),
    ) -> None:
        self._plan = plan
        self._policy = policy or SchedulerPolicy()
        self._listeners = tuple(listeners)
        self._gates = Gates()
        self._strict = baseline("preflight", capabilities, classify)
        self._resilient = baseline("worker", capabilities, classify)
        self._controls: Controls | None = None
        self._stopped: str | None = None
        self._stop_phase: Callable[[str], None] | None = None

    def stop(self, reason: str) -> str:
        """Stop the phase that runs: preflights are cancelled, workers drained. The first reason stays."""
        if self._stopped is None:
            self._stopped = reason
            if self._stop_phase is not None:
                self._stop_phase(reason)
        return self._stopped

    @property
    def controls(self) -> Controls:
        """What an operator may ask of single workers; ControlError before they have started."""
        if self._controls is None:
            raise ControlError("the workers have not started yet: their preflights have not passed")
        return self._controls

    async def check(self) -> PhaseOutcome:
        """Phase 1 alone."""
        preflights = Preflights(self._plan.preflights, self._policy, self._strict, self._gates, self._listeners)
        if self._stopped is not None:
            preflights.cancel(self._stopped)
        with self._stopped_by(preflights.cancel):
            return await preflights.run()

    async def run(
        self,
        *,
        on_ready: Callable[[], Awaitable[None]] | None = None,
        once: bool = False,
        state: State | None = None,
    ) -> ServiceOutcome:
        """Both phases. *on_ready* is awaited between them; workers start when it has returned.

        *state*: what workers remember over restarts; by default they keep checkpoints in memory, and nothing else.
        """
        preflights = await self.check()
        if preflights.status != "passed":
            return ServiceOutcome(preflights, preflights.reason or f"preflights {preflights.status}")
        if self._stopped is None and on_ready is not None:
            await on_ready()
        if self._stopped is not None:
            return ServiceOutcome(preflights, self._stopped)
        workers = Workers(
            self._plan,
            self._policy,
            self._resilient,
            self._strict,
            self._gates,
            self._listeners,
            quarantined=preflights.quarantined,
            once=once,
            state=state,
        )
        if workers.none_is_left:
            reason = "every tenant with a worker is left out"
            return ServiceOutcome(replace(preflights, status="failed", reason=reason), reason)
        self._controls = workers.controls
        with self._stopped_by(workers.stop):
            outcome = await workers.run()
        return ServiceOutcome(preflights, outcome.reason, workers.died, outcome.abandoned)

    @contextmanager
    def _stopped_by(self, stop: Callable[[str], None]) -> Iterator[None]:
        """Inside, a stop goes to *stop*: between the phases and behind them there is nothing to be told."""
        self._stop_phase = stop
        try:
            yield
        finally:
            self._stop_phase = None
