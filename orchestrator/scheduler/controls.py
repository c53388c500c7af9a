"""Controls: pause, resume, run now, kill - for one worker, those of a tenant, those of a spec, or all."""

from collections.abc import Iterable, Mapping, MutableMapping

from longrun import Runner, RunnerError, RunnerStatistics, TaskState
from orchestrator.contracts.errors import ContractError
from orchestrator.planner import Plan

#: Stands for any resource, or any tenant.
ANY = "*"


class ControlError(ContractError):
    """An order that cannot be carried out; the message says why."""


class Controls:
    """Orders to the workers of *plan* that run in *runner*. Each says how many workers it meant something to.

    *workers* is an id as the plan prints it, with ``*`` for any resource or any tenant:
    ``worker:issue-poller:acme/shop``, ``worker:issue-poller:*``, ``worker:*:acme/shop``, ``worker:*``. ControlError
    when no worker matches.
    """

    def __init__(self, plan: Plan, runner: Runner, aside: MutableMapping[str, str]) -> None:
        self._plan = plan
        self._runner = runner
        #: The workers of tenants in quarantine that will be paused when they are back, with the reason.
        self._aside = aside

    def pause(self, workers: str, reason: str = "paused by an operator") -> int:
        """No new run starts; those in flight end by themselves. One that is paused already keeps its reason."""
        return sum(self._runner.pause(name, reason) for name in self._names(workers))

    def resume(self, workers: str) -> int:
        """Paused workers go on with their grid; points that passed meanwhile are counted as skipped.

        Those of tenants in quarantine will not be paused when they are back.
        """
        waiting = [name for name in self._candidates(workers, self._aside) if name in self._aside]
        for name in waiting:
            del self._aside[name]
        names = self._matching(workers) if waiting else self._names(workers)
        return len(waiting) + sum(self._runner.resume(name) for name in names)

    def trigger(self, workers: str) -> int:
        """Run now, or once more right after the run in flight; the grid stays as it is.

        ControlError when none of them can run any more; who can does, whatever becomes of the others.
        """
        triggered, refused = 0, None
        for name in self._names(workers):
            try:
                self._runner.trigger(name)
            except RunnerError as error:
                refused = error
            else:
                triggered += 1
        if refused is not None and not triggered:
            raise ControlError(str(refused)) from refused
        return triggered

    def kill(self, workers: str, reason: str = "killed by an operator") -> int:
        """End the runs in flight; the workers go on as after any failure of their upstream."""
        return sum(self._runner.kill(name, reason) for name in self._names(workers))

    def state(self) -> Mapping[str, TaskState]:
        """Every worker as it stands, by id."""
        return self._runner.state()

    def state_of(self, worker: str) -> TaskState:
        """One worker as it stands; ControlError when there is none of that id."""
        if worker not in self._runner:
            raise ControlError(f"no worker {worker!r} runs here")
        return self._runner.state_of(worker)

    def statistics(self) -> RunnerStatistics:
        """All workers together, by value."""
        return self._runner.statistics()

    def _names(self, workers: str) -> list[str]:
        names = self._matching(workers)
        if not names:
            raise ControlError(
                f"no worker matches {workers!r}; give an id such as worker:poller:acme, with * for any resource or "
                "any tenant"
            )
        return names

    def _matching(self, workers: str) -> list[str]:
        return [name for name in self._candidates(workers, self._runner) if name in self._runner]

    def _candidates(self, workers: str, among: Iterable[str]) -> list[str]:
        phase, _, rest = workers.partition(":")
        resource, tenanted, tenant = rest.partition(":")
        if phase != "worker":
            return []
        if ANY not in (resource, tenant):
            return [workers]
        declared = [d for d in self._plan.declarations("worker") if resource in (ANY, d.spec.resource)]
        if tenanted and tenant != ANY:
            return [d.name(tenant) for d in declared if d.per_tenant]
        wanted = {d.spec.resource for d in declared if d.per_tenant or not tenanted}
        # Two modules may declare one resource, one for its tenants and one for nobody: the latter has no tenant part.
        parts = 3 if tenanted else 2
        return [name for name in among if len(at := name.split(":", 2)) >= parts and at[1] in wanted]
