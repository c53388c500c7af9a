"""The smallest service: what the installed wheel must be able to run without extras."""

from dependency_injector import providers

import orchestrator
from orchestrator.contracts import Module, Preflight, PreflightSpec, Worker, WorkerSpec


class Reachable:
    def task_spec(self) -> PreflightSpec[str]:
        return PreflightSpec("reachable", self.check)

    async def check(self, city: str) -> None:
        assert city


class Beat:
    def task_spec(self) -> WorkerSpec[str]:
        return WorkerSpec("beat", 0.1, self.beat)

    async def beat(self, city: str) -> None:
        print("beat", city)


class Cities(Module[str]):
    name = "cities"

    def tenants(self) -> list[str]:
        return ["oslo", "lima"]

    def preflights(self) -> list[Preflight[str]]:
        return [Reachable()]

    def workers(self) -> list[Worker[str]]:
        return [Beat()]


class SmokeContainer(orchestrator.Container):
    modules = providers.Dict(cities=providers.Singleton(Cities))


class Smoke(orchestrator.Service):
    name = "smoke"
    container = SmokeContainer
