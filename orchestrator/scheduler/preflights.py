"""Phase 1: all preflights at once, bounded, with a deadline that moves on as long as any of them passes."""

from collections.abc import Iterable, Sequence

import anyio

from longrun import Baseline, Runner
from longrun.events import Event, Listener, TaskFailed, TaskFinished, WithoutRoutine
from longrun.task.outcome import Outcome
from longrun.task.unit import TaskState
from orchestrator.planner import Unit
from orchestrator.scheduler.outcome import PhaseOutcome, PhaseStatus, PreflightFailure
from orchestrator.scheduler.policy import SchedulerPolicy
from orchestrator.scheduler.unit_task import Gates, Tasks


class Preflights:
    """One run of phase 1 over *units*. :meth:`run` says what it came to; :meth:`cancel` ends it early."""

    def __init__(
        self,
        units: Sequence[Unit],
        policy: SchedulerPolicy,
        baseline: Baseline,
        gates: Gates,
        listeners: Iterable[Listener] = (),
    ) -> None:
        self._units = units
        self._policy = policy
        self._quarantine = policy.on_preflight_failure == "quarantine"
        self._shared = frozenset(unit.name for unit in units if unit.text is None)
        self._deadline = self._cap = float("inf")
        self._expired: str | None = None
        self._cancelled: str | None = None
        self._runner = Runner(
            baseline=baseline,
            on_permanent="isolate" if self._quarantine else "stop",
            settle=policy.settle,
            shutdown_timeout=policy.shutdown_timeout,
            max_running=policy.preflight_concurrency,
            listeners=(WithoutRoutine(self._watch), *listeners),
            watchdog=None,
            hint_limit=lambda: min(self._deadline, self._cap),
        )
        tasks = Tasks(gates)
        for unit in units:
            self._runner.add(tasks.task(unit))

    def cancel(self, reason: str) -> None:
        """End the phase: nothing it does needs to be finished."""
        self._cancelled = self._cancelled or reason
        self._runner.stop(reason, drain=0.0)

    async def run(self) -> PhaseOutcome:
        """Run until all have passed, one fails for good, the deadline passes or it is cancelled."""
        now = anyio.current_time()
        self._deadline = now + self._policy.preflight_deadline
        if self._policy.preflight_cap is not None:
            self._cap = now + self._policy.preflight_cap
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._expire)
            outcome = await self._runner.run()
            tg.cancel_scope.cancel()
        return self._judge(outcome)

    def _watch(self, event: Event) -> None:
        if isinstance(event, TaskFinished):
            self._deadline = anyio.current_time() + self._policy.preflight_deadline
        elif isinstance(event, TaskFailed) and event.subject in self._shared:
            # No tenant can be left out for it: the phase has failed, whatever the others do.
            self._runner.stop(f"{event.subject} failed", drain=self._policy.settle)

    async def _expire(self) -> None:
        while anyio.current_time() < min(self._deadline, self._cap):  # noqa: ASYNC110 - it moves meanwhile
            await anyio.sleep_until(min(self._deadline, self._cap))
        if self._cap <= self._deadline:
            self._expired = f"not over within the cap of {self._policy.preflight_cap:g} s"
        else:
            self._expired = f"none passed within the last {self._policy.preflight_deadline:g} s"
        self._runner.stop(self._expired, drain=0.0)

    def _judge(self, outcome: Outcome) -> PhaseOutcome:
        state = self._runner.state()
        reasons = {failure.task: failure for failure in outcome.failures}
        failures: list[PreflightFailure] = []
        pending: list[PreflightFailure] = []
        passed = never_started = 0
        for unit in self._units:
            of_unit = state[unit.name]
            if of_unit.phase == "finished":
                passed += 1
            elif of_unit.name in reasons:
                failed = reasons[of_unit.name]
                failures.append(PreflightFailure(of_unit.name, failed.error, failed.reason))
            elif of_unit.last_started is None:
                never_started += 1
            else:
                pending.append(_pending(of_unit))
        status = self._status(passed, outcome)
        return PhaseOutcome(
            status,
            self._reason(status, passed),
            passed,
            tuple(failures),
            tuple(pending),
            never_started,
            self._left_out(state) if status == "passed" else frozenset(),
        )

    def _reason(self, status: PhaseStatus, passed: int) -> str | None:
        if status == "cancelled":
            return self._cancelled
        return None if passed == len(self._units) else self._expired

    def _status(self, passed: int, outcome: Outcome) -> PhaseStatus:
        if self._cancelled is not None and outcome.reason == self._cancelled:
            return "cancelled"
        if passed == len(self._units):
            return "passed"
        if not self._quarantine or not passed:
            return "failed"
        state = self._runner.state()
        return "passed" if all(state[name].phase == "finished" for name in self._shared) else "failed"

    def _left_out(self, state: dict[str, TaskState]) -> frozenset[tuple[str, str]]:
        return frozenset(
            (unit.module, unit.text)
            for unit in self._units
            if unit.text is not None and state[unit.name].phase != "finished"
        )


def _pending(state: TaskState) -> PreflightFailure:
    if state.last_error is None:
        return PreflightFailure(state.name, None, f"attempt {max(1, state.attempt)} had not ended")
    tries = "1 attempt" if state.failures == 1 else f"{state.failures} attempts"
    return PreflightFailure(state.name, state.last_error, f"after {tries}")
