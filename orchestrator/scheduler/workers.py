"""Phase 2: the workers of every tenant that passed, and the tenants that come, go, or wait in quarantine."""

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from random import Random
from typing import TypeAlias

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup, TaskStatus

from longrun import Baseline, MemoryCheckpoints, Runner
from longrun.events import Event, Listener, TaskFailed, TaskRemoved, WithoutRoutine
from longrun.task.outcome import Outcome
from orchestrator.contracts.module import TenantAdded, TenantRemoved
from orchestrator.planner import Plan, PlanError, Unit
from orchestrator.planner.declarations import AnyModule
from orchestrator.scheduler.admission import Admission, Tenant
from orchestrator.scheduler.controls import Controls
from orchestrator.scheduler.outcome import PreflightFailure
from orchestrator.scheduler.policy import SchedulerPolicy
from orchestrator.scheduler.unit_task import Gates, Tasks, UnitWork
from orchestrator.state import State

_log = logging.getLogger(__name__)

Changes: TypeAlias = AsyncIterator[TenantAdded[object] | TenantRemoved[object]]


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
        state: State | None = None,
    ) -> None:
        self._plan = plan
        self._policy = policy
        self._once = once
        self._tasks = Tasks(gates, splay=policy.splay, once=once, per_tenant=policy.max_running_per_tenant)
        self._count = 0
        self._leaving: dict[str, anyio.Event] = {}
        self._paused: dict[str, str] = {}
        self._died: list[PreflightFailure] = []
        self._aside: TaskGroup | None = None
        self._over = False
        listening, chance = tuple(listeners), rng or Random()
        self._admission = Admission(plan, policy, preflight_baseline, gates, listening, chance, self._admit)
        watched = {} if once else {name: _changes(name, reading.module) for name, reading in plan.readings.items()}
        self._watched = {name: changes for name, changes in watched.items() if changes is not None}
        self._runner = Runner(
            keep_open=bool(self._watched),
            baseline=worker_baseline,
            on_permanent="isolate",
            shutdown_timeout=policy.shutdown_timeout,
            max_running=policy.max_running,
            listeners=(*listening, WithoutRoutine(self._watch)),
            rng=chance,
            attempts=None if state is None else state.attempts,
            checkpoints=MemoryCheckpoints() if state is None else state.checkpoints,
            namespace="workers",
        )
        out = set(quarantined)
        for unit in plan.each("worker"):
            tenant = _tenant(unit) if out else None
            if tenant not in out:
                self._add(unit)
            elif tenant is not None and tenant not in self._admission:
                self._admission.wait(tenant, unit.tenant)
        # A tenant without workers of its own may wait in quarantine too; there is nothing of it to run then.

    @property
    def died(self) -> tuple[PreflightFailure, ...]:
        """The worker failures that ended the service."""
        return tuple(self._died)

    @property
    def quarantined(self) -> tuple[Tenant, ...]:
        """The tenants that are left out at present: the service is degraded while there are any."""
        return self._admission.tenants

    @property
    def none_is_left(self) -> bool:
        """Whether quarantine has left nothing to run, and nobody can come."""
        return bool(self.quarantined) and not self._count and not self._watched

    @property
    def controls(self) -> Controls:
        """What an operator may ask of single workers."""
        return Controls(self._plan, self._runner, self._paused)

    def stop(self, reason: str) -> None:
        """Drain: no new run and no new tenant; runs in flight may end."""
        if not self._over:
            self._runner.stop(reason)
        self._end_aside()

    async def run(self) -> Outcome:
        """Run until stopped, until no unit is left, or (``once``) until each has succeeded once."""
        if not self._count and not self._watched:
            _log.warning("workers.none: the service has nothing to do after its preflights")
        async with anyio.create_task_group() as tg:
            await tg.start(self._accompany)
            outcome = await self._runner.run()
            self._over = True
            self._end_aside()
            self._admission.tell_stuck()
        return outcome

    async def _accompany(self, *, task_status: TaskStatus[None]) -> None:
        """What goes on beside the runs: the tenants that wait, and the news of tenants."""
        async with anyio.create_task_group() as self._aside:
            self._admission.open(self._aside)
            for name, changes in self._watched.items():
                self._aside.start_soon(self._follow, name, changes)
            task_status.started()
            await anyio.sleep_forever()

    def _end_aside(self) -> None:
        if self._aside is not None:
            self._aside.cancel_scope.cancel()
            self._aside = None
            self._admission.close()

    # -- failures ----------------------------------------------------------------------------------------------------

    def _watch(self, event: Event) -> None:
        if isinstance(event, TaskRemoved):
            left = self._leaving.pop(event.subject, None)
            if left is not None:
                left.set()
        elif isinstance(event, TaskFailed):
            unit = self._unit(event.subject)
            self._count -= 1
            self._runner.remove(event.subject)
            self._failed(unit, PreflightFailure(event.subject, event.error, event.reason))

    def _failed(self, unit: Unit, failure: PreflightFailure) -> None:
        tenant = _tenant(unit)
        if self._once:
            self._died.append(failure)
        elif tenant is None or self._policy.on_worker_failure == "stop":
            self._died.append(failure)
            self.stop(f"{failure.id} failed")
        else:
            self._remove(tenant, for_good=False)
            if not self._count:
                self._died.append(failure)
                self.stop(f"{failure.id} failed, and no other worker is left")
                return
            _log.error("tenant.quarantined", extra={"tenant": tenant[1], "reason": str(failure)})
            self._admission.wait(tenant, unit.tenant)

    # -- tenants that come and go ------------------------------------------------------------------------------------

    async def _follow(self, module: str, changes: Changes) -> None:
        """Do what the module's ``watch()`` tells; its end, or its failure, leaves the tenants as they are."""
        try:
            async for change in changes:
                self._change(module, change)
        except Exception:  # noqa: BLE001 - a module is foreign code; what runs already goes on
            _log.exception("watch() of module %r failed; its tenants stay as they are", module)

    def _change(self, module: str, change: object) -> None:
        if not isinstance(change, TenantAdded | TenantRemoved):
            self._refuse(module, f"watch() gave {change!r}; give a TenantAdded or a TenantRemoved")
            return
        try:
            units = self._plan.units_of(module, change.tenant)
        except PlanError as error:
            self._refuse(module, str(error))
            return
        tenant = (module, str(change.tenant))
        known = tenant in self._admission or any(self._is_of(unit, tenant) for unit in units)
        if isinstance(change, TenantRemoved):
            self._remove(tenant)
            self._admission.forget(tenant)
            self._plan.forget(module, change.tenant)
        elif not known:
            self._admission.wait(tenant, change.tenant, at_once=True)

    def _refuse(self, module: str, reason: str) -> None:
        _log.error("tenant.refused", extra={"module_name": module, "reason": reason})

    def _is_of(self, unit: Unit, tenant: Tenant) -> bool:
        name = unit.name
        if name not in self._runner or name in self._leaving:
            return False
        return _tenant(self._unit(name)) == tenant

    async def _admit(self, units: Sequence[Unit]) -> None:
        """Add *units*, when no cancelled run of the same identity is still on its way out."""
        for unit in units:
            leaving = self._leaving.get(unit.name)
            if leaving is not None:
                await leaving.wait()
        await anyio.lowlevel.checkpoint_if_cancelled()  # removed, or stopped, in this very turn of the event loop
        for unit in units:
            if unit.name not in self._runner:
                self._add(unit)
            else:
                taken = self._unit(unit.name)
                self._refuse(unit.module, f"{unit.id} runs already, for module {taken.module!r}")

    def _add(self, unit: Unit) -> None:
        self._runner.add(self._tasks.task(unit))
        self._count += 1
        if self._paused:  # what an operator has paused stays so when its tenant comes back from quarantine
            reason = self._paused.pop(unit.name, None)
            if reason is not None:
                self._runner.pause(unit.name, reason)

    def _remove(self, tenant: Tenant, *, for_good: bool = True) -> None:
        module, text = tenant
        for declared in self._plan.declarations("worker", module):
            name = declared.name(text)
            if not declared.per_tenant or name not in self._runner or _tenant(self._unit(name)) != tenant:
                if for_good:
                    self._paused.pop(name, None)
                continue
            reason = None if for_good else self._runner.state_of(name).paused
            if reason is not None:
                self._paused[name] = reason
            if self._runner.remove(name):
                self._count -= 1
            if name in self._runner:  # its run in flight was cancelled and is on its way out
                self._leaving.setdefault(name, anyio.Event())
        self._tasks.forget(tenant)

    def _unit(self, name: str) -> Unit:
        work = self._runner.task(name).work
        assert isinstance(work, UnitWork), f"{name} is no unit"
        return work.unit


def _tenant(unit: Unit) -> Tenant | None:
    return None if unit.text is None else (unit.module, unit.text)


def _changes(name: str, module: AnyModule) -> Changes | None:
    watch = getattr(module, "watch", None)
    try:
        changes: Changes | None = None if watch is None else watch()
    except Exception:  # noqa: BLE001 - a module is foreign code; the others are not its business
        _log.exception("watch() of module %r failed; its tenants stay as they are", name)
        return None
    return changes
