"""One life of a service: build, open, preflights, workers, drain, close."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import anyio

from longrun.events import Listener
from orchestrator.container import WiringError, built, opened, wiring_problems
from orchestrator.planner import Plan, Planner
from orchestrator.scheduler import PhaseOutcome, Scheduler, SchedulerPolicy, ServiceOutcome
from orchestrator.service import Service
from orchestrator.settings import Settings
from orchestrator.signals import stopping_by_signal

_log = logging.getLogger("orchestrator.life")


class Life:
    """A service brought to life once, with *settings*. *listeners* receive every event of both phases."""

    def __init__(self, service: type[Service], settings: Settings, listeners: Iterable[Listener] = ()) -> None:
        self._service = service
        self._settings = settings
        self._listeners = tuple(listeners)
        self._container = service.container(settings=settings)
        problems = wiring_problems(self._container)
        if problems:
            raise WiringError(problems)
        self._planner = Planner(built(self._container))
        self.plan: Plan = self._planner.plan()
        self._scheduler = Scheduler(
            self.plan, self._planner.infra_classifier(), _policy(settings), listeners=self._listeners
        )
        self._opening: anyio.CancelScope | None = None

    def stop(self, reason: str) -> None:
        """Stop: opening is cancelled, preflights too, workers are drained. The first reason stays."""
        self._scheduler.stop(reason)
        if self._opening is not None:
            self._opening.cancel()

    async def check(self) -> PhaseOutcome:
        """Phase 1 alone."""
        async with self._alive() as service:
            if service is None:
                return PhaseOutcome("cancelled", "stopped while opening", never_started=len(self.plan.preflights))
            return await self._scheduler.check()

    async def run(self, *, seconds: float | None = None, once: bool = False) -> ServiceOutcome:
        """Both phases; workers for *seconds* at most, or until each has succeeded *once*."""
        async with self._alive() as service:
            if service is None:
                never = len(self.plan.preflights)
                return ServiceOutcome(PhaseOutcome("cancelled", "stopped while opening", never_started=never))
            async with anyio.create_task_group() as tg:

                async def ready() -> None:
                    await service.on_ready()
                    _log.info("service.ready", extra={"workers": len(self.plan.workers)})
                    if seconds is not None:
                        tg.start_soon(self._stop_after, seconds)

                outcome = await self._scheduler.run(on_ready=ready, once=once)
                tg.cancel_scope.cancel()
            return outcome

    @asynccontextmanager
    async def _alive(self) -> AsyncIterator[Service | None]:
        """The service with everything open; None when it was stopped before that."""
        with stopping_by_signal(self.stop):
            open_at_last = False
            with anyio.CancelScope() as self._opening:
                async with opened(self._container) as modules:
                    service = self._service(self._settings, modules)
                    await service.on_start()
                    # From here on a stop goes through the scheduler, which drains; nothing is torn out any more.
                    self._opening, open_at_last = None, True
                    try:
                        yield service
                    finally:
                        with anyio.CancelScope(shield=True):
                            await service.on_stop()
                            await self._close_modules()
            if not open_at_last:
                yield None

    async def _close_modules(self) -> None:
        for name, reading in reversed(list(self.plan.readings.items())):
            try:
                await reading.module.shutdown()
            except Exception:  # noqa: BLE001 - a module is foreign code; the others are closed all the same
                _log.exception("shutdown() of module %r failed", name)

    async def _stop_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self.stop(f"ran for {seconds:g} s")


def _policy(settings: Settings) -> SchedulerPolicy:
    chosen = settings.orchestrator
    return SchedulerPolicy(**{name: getattr(chosen, name) for name in SchedulerPolicy.__slots__})
