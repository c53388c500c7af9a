"""Admission: the tenants that are left out at present, and the preflight gate that each has to pass to get in."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup

from longrun import Baseline, backoff
from longrun.events import Event, Listener, ShutdownStuck, StopRequested, emit
from orchestrator.planner import Plan, Unit
from orchestrator.scheduler.policy import SchedulerPolicy
from orchestrator.scheduler.preflights import Preflights
from orchestrator.scheduler.unit_task import Gates

_log = logging.getLogger(__name__)

#: (module, text of the tenant)
Tenant: TypeAlias = tuple[str, str]

#: How long a tenant in quarantine waits before its preflights are tried again: the curve of a degraded worker.
_PROBATION = backoff.exponential(30, 300)


@dataclass(eq=False, slots=True)
class _Waiting:
    value: object
    at_once: bool
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Admission:
    """Tries the preflights of each tenant that waits, again and again, and hands its workers to *admit* when they pass.

    The preflights of one tenant never run twice at a time, however often it is added and removed. No more tenants than
    the policy's ``preflight_concurrency`` are tried at once.
    """

    def __init__(
        self,
        plan: Plan,
        policy: SchedulerPolicy,
        baseline: Baseline,
        gates: Gates,
        listeners: Iterable[Listener],
        rng: Random,
        admit: Callable[[Sequence[Unit]], Awaitable[None]],
    ) -> None:
        self._plan = plan
        self._policy = replace(policy, on_preflight_failure="stop")
        self._baseline = baseline
        self._gates = gates
        self._listeners = tuple(listeners)
        self._rng = rng
        self._admit = admit
        self._waiting: dict[Tenant, _Waiting] = {}
        self._locks: dict[Tenant, anyio.Lock] = {}
        self._slots = anyio.CapacityLimiter(policy.preflight_concurrency)
        self._stuck: dict[str, None] = {}
        self._holds_up = False
        self._tg: TaskGroup | None = None

    @property
    def tenants(self) -> tuple[Tenant, ...]:
        """Who is left out at present."""
        return tuple(self._waiting)

    def __contains__(self, tenant: Tenant) -> bool:
        return tenant in self._waiting

    def wait(self, tenant: Tenant, value: object, *, at_once: bool = False) -> None:
        """*tenant* is left out until its preflights pass; they are tried *at_once*, or after the first wait."""
        waiting = self._waiting[tenant] = _Waiting(value, at_once)
        if self._tg is not None:
            self._tg.start_soon(self._try, tenant, waiting)

    def forget(self, tenant: Tenant) -> None:
        """*tenant* is gone: preflights of it that run are cancelled."""
        waiting = self._waiting.pop(tenant, None)
        if waiting is not None:
            waiting.scope.cancel()

    def open(self, tg: TaskGroup) -> None:
        """Try the tenants that wait, in *tg*, until :meth:`close`."""
        self._tg = tg
        for tenant, waiting in self._waiting.items():
            tg.start_soon(self._try, tenant, waiting)

    def close(self) -> None:
        """Nobody gets in any more; *tg* is being cancelled."""
        self._tg = None

    def tell_stuck(self) -> None:
        """The workers have ended: from now on preflights that ignore their cancellation do hold up the end."""
        self._holds_up = True
        if self._stuck:
            emit(self._listeners, ShutdownStuck("runner", tuple(self._stuck)))

    async def _try(self, tenant: Tenant, waiting: _Waiting) -> None:
        waited, tries = 0.0, 0
        with waiting.scope:
            while True:
                if not (waiting.at_once and tries == 0):
                    waited = _PROBATION(tries - waiting.at_once, waited, self._rng)
                    await anyio.sleep(waited)
                tries += 1
                if await self._passes(tenant, waiting.value):
                    break
            module, text = tenant
            self._plan.forget(module, waiting.value)
            await self._admit([u for u in self._plan.units_of(module, waiting.value) if u.phase == "worker"])
            del self._waiting[tenant]
            _log.info("tenant.joined", extra={"tenant": text})

    async def _passes(self, tenant: Tenant, value: object) -> bool:
        module, text = tenant
        mine = [unit for unit in self._plan.units_of(module, value) if unit.phase == "preflight"]
        lock = self._locks.setdefault(tenant, anyio.Lock())
        try:
            async with lock, self._slots:
                try:
                    outcome = await Preflights(mine, self._policy, self._baseline, self._gates, [self._tell]).run()
                finally:
                    for unit in mine:
                        self._stuck.pop(str(unit.id), None)
        finally:
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._locks.pop(tenant, None)
        if outcome.status != "passed":
            _log.warning("tenant.still_quarantined", extra={"tenant": text, "reason": "; ".join(outcome.lines())})
        return outcome.status == "passed"

    def _tell(self, event: Event) -> None:
        """What happens at the gate of one tenant, without what would read as the end of the whole service."""
        if isinstance(event, StopRequested):
            return
        if isinstance(event, ShutdownStuck) and not self._holds_up:
            self._stuck.update(dict.fromkeys(event.tasks))
            return
        emit(self._listeners, event)
