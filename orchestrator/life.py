"""One life of a service: build, open, preflights, workers, drain, close."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from longrun.events import Event, Listener, ShutdownStuck, WithoutRoutine
from orchestrator.container import WiringError, built, opened, wiring_problems
from orchestrator.planner import Plan, Planner
from orchestrator.scheduler import PhaseOutcome, Scheduler, SchedulerPolicy, ServiceOutcome
from orchestrator.service import Service
from orchestrator.settings import Settings
from orchestrator.signals import stopping_by_signal
from orchestrator.state import opened_state

T = TypeVar("T")

_log = logging.getLogger("orchestrator.life")


class Life:
    """A service brought to life once, with *settings*. *listeners* receive every event of both phases.

    *on_stuck* is called with the names of runs that ignored their cancellation when everything else is closed; it may
    end the process. Without one they are waited for.
    """

    def __init__(
        self,
        service: type[Service],
        settings: Settings,
        listeners: Iterable[Listener] = (),
        on_stuck: Callable[[tuple[str, ...]], None] | None = None,
    ) -> None:
        self._service = service
        self._settings = settings
        self._on_stuck = on_stuck
        self._container = service.container(settings=settings)
        problems = wiring_problems(self._container)
        if problems:
            raise WiringError(problems)
        self._planner = Planner(built(self._container))
        self.plan: Plan = self._planner.plan()
        self._scheduler = Scheduler(
            self.plan,
            self._planner.infra_classifier(),
            _policy(settings),
            listeners=(*listeners, WithoutRoutine(self._watch)),
        )
        self._opening: anyio.CancelScope | None = None
        self._course: _Course[Any] | None = None

    def stop(self, reason: str) -> None:
        """Stop: opening is cancelled, preflights too, workers are drained. The first reason stays."""
        self._scheduler.stop(reason)
        if self._opening is not None:
            self._opening.cancel()

    async def check(self) -> PhaseOutcome:
        """Phase 1 alone."""

        async def phase(_service: Service) -> PhaseOutcome:
            return await self._scheduler.check()

        return await self._live(phase) or self._stopped_early()

    async def run(self, *, seconds: float | None = None, once: bool = False) -> ServiceOutcome:
        """Both phases; workers for *seconds* at most, or until each has succeeded *once*."""

        async def phases(service: Service) -> ServiceOutcome:
            async with anyio.create_task_group() as tg:

                async def ready() -> None:
                    await service.on_ready()
                    _log.info("service.ready", extra={"workers": self.plan.count("worker")})
                    if seconds is not None:
                        tg.start_soon(self._stop_after, seconds)

                async with opened_state(self._settings.orchestrator.state) as state:
                    outcome = await self._scheduler.run(on_ready=ready, once=once, state=state)
                tg.cancel_scope.cancel()
            return outcome

        return await self._live(phases) or ServiceOutcome(self._stopped_early())

    async def _live(self, phases: Callable[[Service], Awaitable[T]]) -> T | None:
        """What *phases* come to, between opening and closing; None when it was stopped before all was open.

        The phases run in a task of their own, outside of what is opened: a run that ignores its cancellation holds up
        their end, but not the closing of everything else.
        """
        course = self._course = _Course[T]()
        failure: Exception | None = None
        with stopping_by_signal(self.stop):
            async with anyio.create_task_group() as tg:
                try:
                    with anyio.CancelScope() as self._opening:
                        async with opened(self._container) as modules:
                            await self._serve(self._service(self._settings, modules), phases, course, tg)
                except Exception as error:  # noqa: BLE001 - raised again below, outside of the task group's wrapping
                    failure = error
                if course.stuck and self._on_stuck is not None:
                    self._on_stuck(course.stuck)
        for first in (course.failure, failure):
            if first is not None:
                raise first
        return course.outcome

    async def _serve(
        self, service: Service, phases: Callable[[Service], Awaitable[T]], course: "_Course[T]", tg: TaskGroup
    ) -> None:
        await service.on_start()
        try:
            # A stop that came with the last step of opening is not lost.
            await anyio.lowlevel.checkpoint_if_cancelled()
            # From here on a stop goes through the scheduler, which drains; nothing is torn out any more.
            self._opening = None
            tg.start_soon(course.run, phases, service)
            await course.follow()
        finally:
            await self._close(service)

    async def _close(self, service: Service) -> None:
        """``on_stop`` and the modules' ``shutdown``, last module first; each has an equal share of the time left."""
        modules = reversed(list(self.plan.readings.items()))
        hooks = [(f"shutdown() of module {name!r}", reading.module.shutdown) for name, reading in modules]
        hooks.insert(0, ("on_stop()", service.on_stop))
        end = anyio.current_time() + self._settings.orchestrator.shutdown_timeout
        failure: Exception | None = None
        for index, (name, hook) in enumerate(hooks):
            share = (end - anyio.current_time()) / (len(hooks) - index)
            try:
                with anyio.move_on_after(share, shield=True) as scope:
                    await hook()
            except Exception as error:  # noqa: BLE001 - foreign code; the others are closed all the same
                _log.exception("%s failed", name)
                failure = failure or (error if hook == service.on_stop else None)
            if scope.cancelled_caught:
                _log.error("%s did not end within its %.3g s and was cancelled", name, share)
        if failure is not None:
            raise failure

    def _stopped_early(self) -> PhaseOutcome:
        return PhaseOutcome("cancelled", "stopped while opening", never_started=self.plan.count("preflight"))

    def _watch(self, event: Event) -> None:
        if isinstance(event, ShutdownStuck) and self._course is not None:
            self._course.stick(event.tasks)

    async def _stop_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self.stop(f"ran for {seconds:g} s")


def _policy(settings: Settings) -> SchedulerPolicy:
    chosen = settings.orchestrator
    return SchedulerPolicy(**{name: getattr(chosen, name) for name in SchedulerPolicy.__slots__})


class _Course(Generic[T]):
    """The phases under way, up to their end or to the point where only abandoned runs hold that up."""

    def __init__(self) -> None:
        self.outcome: T | None = None
        self.failure: Exception | None = None
        self.stuck: tuple[str, ...] = ()
        self._scope = anyio.CancelScope()
        self._left = anyio.Event()

    async def run(self, phases: Callable[[Service], Awaitable[T]], service: Service) -> None:
        try:
            with self._scope:
                self.outcome = await phases(service)
        except Exception as error:  # noqa: BLE001 - raised by the life when everything is closed
            self.failure = error
        finally:
            self._left.set()

    def stick(self, tasks: tuple[str, ...]) -> None:
        """Only *tasks*, which ignore their cancellation, hold up the end."""
        self.stuck = tasks
        self._left.set()

    async def follow(self) -> None:
        """Wait for the end; a cancellation of the caller ends the phases first, and then goes on."""
        try:
            await self._left.wait()
        except anyio.get_cancelled_exc_class():
            self._scope.cancel()
            with anyio.CancelScope(shield=True):
                await self._left.wait()
            raise
