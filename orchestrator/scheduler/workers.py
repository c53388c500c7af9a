"""Phase 2: the workers of every tenant that passed, and the tenants that come, go, or wait in quarantine."""

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from random import Random

import anyio
from anyio.abc import TaskGroup

from longrun import Baseline, Runner, backoff
from longrun.events import Event, Listener, TaskFailed
from longrun.task.outcome import Outcome
from orchestrator.contracts.module import TenantAdded, TenantRemoved
from orchestrator.planner import Plan, PlanError, Unit
from orchestrator.scheduler.outcome import PreflightFailure
from orchestrator.scheduler.policy import SchedulerPolicy
from orchestrator.scheduler.preflights import Preflights
from orchestrator.scheduler.unit_task import Gates, worker_task

_log = logging.getLogger(__name__)

#: (module, text of the tenant)
Tenant = tuple[str, str]

#: How long a tenant in quarantine waits before its preflights are tried again: the curve of a degraded worker.
_PROBATION = backoff.exponential(30, 300)


class Workers:
    """Runs the workers of *plan* but for the tenants in *quarantined*, which join when their preflights pass."""

    def __init__(
        self,
        plan: Plan,
        policy: SchedulerPolicy,
        worker_baseline: Baseline,
        preflight_baseline: Baseline,
        gates: Gates,
        listeners: Iterable[Listener] = (),
        *,
        quarantined: Iterable[Tenant] = (),
        once: bool = False,
        rng: Random | None = None,
    ) -> None:
        self._plan = plan
        self._policy = policy
        self._preflight_baseline = preflight_baseline
        self._gates = gates
        self._listeners = tuple(listeners)
        self._once = once
        self._rng = rng or Random()
        self._units: dict[str, Unit] = {}
        self._died: list[PreflightFailure] = []
        self._quarantined: dict[Tenant, object] = {}
        self._tg: TaskGroup | None = None
        watched = {} if once else {name: reading.module.watch() for name, reading in plan.readings.items()}
        self._watched = {name: changes for name, changes in watched.items() if changes is not None}
        self._runner = Runner(
            keep_open=bool(self._watched),
            baseline=worker_baseline,
            on_permanent="isolate",
            shutdown_timeout=policy.shutdown_timeout,
            max_running=policy.max_running,
            listeners=(*self._listeners, self._watch),
            rng=self._rng,
        )
        out = set(quarantined)
        for unit in plan.workers:
            tenant = _tenant(unit)
            if tenant in out:
                self._quarantined[tenant] = unit.tenant
            else:
                self._add(unit)
        # A tenant without workers of its own may wait in quarantine too; there is nothing of it to run then.

    @property
    def died(self) -> tuple[PreflightFailure, ...]:
        """The worker failures that ended the service."""
        return tuple(self._died)

    @property
    def quarantined(self) -> tuple[Tenant, ...]:
        """The tenants that are left out at present: the service is degraded while there are any."""
        return tuple(self._quarantined)

    def stop(self, reason: str) -> None:
        """Drain: no new run, those in flight may end."""
        self._runner.stop(reason)

    async def run(self) -> Outcome:
        """Run until stopped, until no unit is left, or (``once``) until each has succeeded once."""
        async with anyio.create_task_group() as tg:
            self._tg = tg
            if not self._units and not self._watched:
                _log.warning("workers.none: the service has nothing to do after its preflights")
            for tenant, value in self._quarantined.items():
                tg.start_soon(self._probation, tenant, value)
            for name, changes in self._watched.items():
                tg.start_soon(self._follow, name, changes)
            outcome = await self._runner.run()
            self._tg = None
            tg.cancel_scope.cancel()
        return outcome

    # -- failures ----------------------------------------------------------------------------------------------------

    def _watch(self, event: Event) -> None:
        if not isinstance(event, TaskFailed):
            return
        unit = self._units.pop(event.subject, None)
        if unit is None:
            return
        failure = PreflightFailure(event.subject, event.error, event.reason)
        tenant = _tenant(unit)
        if tenant is None or self._policy.on_worker_failure == "stop" or self._once:
            self._died.append(failure)
            if not self._once:
                self._runner.stop(f"{event.subject} failed")
            return
        self._remove(tenant)
        if not self._units:
            self._died.append(failure)
            self._runner.stop(f"{event.subject} failed, and no other worker is left")
            return
        _log.error("tenant.quarantined", extra={"tenant": tenant[1], "reason": str(failure)})
        self._quarantined[tenant] = unit.tenant
        if self._tg is not None:
            self._tg.start_soon(self._probation, tenant, unit.tenant)

    async def _probation(self, tenant: Tenant, value: object) -> None:
        """Try the preflights of *tenant* again and again; it joins when they pass."""
        waited, tries = 0.0, 0
        while tenant in self._quarantined:
            waited = _PROBATION(tries, waited, self._rng)
            tries += 1
            await anyio.sleep(waited)
            if tenant in self._quarantined and await self._join(tenant, value):
                return

    # -- tenants that come and go ------------------------------------------------------------------------------------

    async def _follow(self, module: str, changes: AsyncIterator[TenantAdded[object] | TenantRemoved[object]]) -> None:
        """Do what the module's ``watch()`` tells; its end, or its failure, leaves the tenants as they are."""
        try:
            async for change in changes:
                try:
                    units = self._plan.units_of(module, change.tenant)
                except PlanError as error:
                    _log.error("tenant.refused", extra={"module_name": module, "reason": str(error)})
                    continue
                tenant = (module, str(change.tenant))
                if isinstance(change, TenantRemoved):
                    self._remove(tenant)
                    self._quarantined.pop(tenant, None)
                    self._plan.forget(module, change.tenant)
                elif not any(str(unit.id) in self._units for unit in units) and tenant not in self._quarantined:
                    self._quarantined[tenant] = change.tenant
                    if self._tg is not None:
                        self._tg.start_soon(self._admit, tenant, change.tenant)
        except Exception:  # noqa: BLE001 - a module is foreign code; what runs already goes on
            _log.exception("watch() of module %r failed; its tenants stay as they are", module)

    async def _admit(self, tenant: Tenant, value: object) -> None:
        if not await self._join(tenant, value):
            await self._probation(tenant, value)

    async def _join(self, tenant: Tenant, value: object) -> bool:
        """The preflight gate for one tenant: its workers start when all its preflights pass."""
        module, text = tenant
        units = self._plan.units_of(module, value)
        mine = [unit for unit in units if unit.phase == "preflight"]
        checks = Preflights(mine, self._policy, self._preflight_baseline, self._gates, self._listeners)
        outcome = await checks.run()
        if tenant not in self._quarantined:
            return True  # it was removed meanwhile
        if outcome.status != "passed" or outcome.quarantined:
            _log.warning("tenant.still_quarantined", extra={"tenant": text, "reason": "; ".join(outcome.lines())})
            return False
        del self._quarantined[tenant]
        self._plan.forget(module, value)
        self._join_units([unit for unit in units if unit.phase == "worker"])
        _log.info("tenant.joined", extra={"tenant": text})
        return True

    def _join_units(self, units: Sequence[Unit]) -> None:
        if self._tg is not None:
            for unit in units:
                self._add(unit)

    def _add(self, unit: Unit) -> None:
        self._units[str(unit.id)] = unit
        self._runner.add(worker_task(unit, self._gates, self._policy.splay, once=self._once))

    def _remove(self, tenant: Tenant) -> None:
        for name in [name for name, unit in self._units.items() if _tenant(unit) == tenant]:
            del self._units[name]
            self._runner.remove(name)


def _tenant(unit: Unit) -> Tenant | None:
    return None if unit.id.tenant is None else (unit.module, unit.id.tenant)
