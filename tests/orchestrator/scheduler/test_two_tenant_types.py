"""A second tenant type beside the first: a module of its own, nothing else."""

from dataclasses import dataclass

import pytest

from orchestrator.contracts import Module, PermanentFailure, PreflightSpec, WorkerSpec

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Device:
    """A tenant that is no text."""

    serial: int

    def __str__(self) -> str:
        return f"device-{self.serial}"


class Ping:
    """Preflight and worker of a device: all that the second type brings."""

    def __init__(self) -> None:
        self.checked, self.pinged = [], []

    async def check(self, device: Device) -> None:
        self.checked.append(device.serial)

    async def ping(self, device: Device) -> None:
        self.pinged.append(device.serial)
        if device.serial == 2:
            raise PermanentFailure("unplugged")


@dataclass
class Says:
    spec: object

    def task_spec(self):
        return self.spec


class Devices(Module[Device]):
    name = "devices"

    def __init__(self, ping: Ping) -> None:
        self._ping = ping

    def tenants(self):
        return [Device(1), Device(2)]

    def preflights(self):
        return [Says(PreflightSpec("reachable", self._ping.check))]

    def workers(self):
        return [Says(WorkerSpec("ping", 10, self._ping.ping))]


async def test_two_tenant_types_run_side_by_side(lab):
    """Each work gets its own tenants; a device that fails leaves the shops alone."""
    ping, work = Ping(), lab.Work()
    shops = lab.Shops(PreflightSpec("check", lab.Work()), WorkerSpec("work", 10, work))

    outcome = await lab.run_for(45, lab.scheduler(shops, Devices(ping), splay=False))

    assert (outcome.exit_code, outcome.preflights.passed) == (0, 3)
    assert (sorted(ping.checked[:2]), len(work.of("a"))) == ([1, 2], 5)
    assert (ping.pinged.count(1), ping.pinged.count(2) in (1, 2)) == (5, True)


async def test_tenants_of_two_types_with_the_same_text_are_two_tenants(lab):
    """Quarantine of one does not touch the other."""
    work = lab.Work()
    failing = lab.Work(lab.raising(PermanentFailure("gone")))
    first = lab.Shops(WorkerSpec("one", 10, work), tenants=("same",))
    second = lab.Shops(WorkerSpec("two", 10, failing), tenants=("same",))

    outcome = await lab.run_for(25, lab.scheduler(first, second, splay=False))

    assert (outcome.exit_code, len(work.of("same")), len(failing.of("same"))) == (0, 3, 1)
