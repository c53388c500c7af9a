"""Whom an order is for: ids, with a sign for any resource or any tenant."""

import anyio
import pytest

from orchestrator.contracts import (
    ContractError,
    GlobalWorkerSpec,
    WorkerSpec,
)
from orchestrator.scheduler.controls import ControlError

pytestmark = pytest.mark.anyio


def near(*instants: float) -> list:
    """These instants, within the grain of the calendar."""
    return [pytest.approx(at, abs=0.1) for at in instants]


def two_modules(lab):
    """Workers poll and scan of the tenants a, b and x:y, tidy of nobody, and in a second module poll of nobody."""
    works = {name: lab.Work() for name in ("poll", "scan", "tidy", "global poll")}
    shops = lab.Shops(
        WorkerSpec("poll", 10, works["poll"]),
        WorkerSpec("scan", 10, works["scan"]),
        GlobalWorkerSpec("tidy", 10, works["tidy"]),
        tenants=("a", "b", "x:y"),
    )
    return lab.scheduler(shops, lab.Shops(GlobalWorkerSpec("poll", 10, works["global poll"]), tenants=()), splay=False)


@pytest.mark.parametrize(
    ("workers", "meant"),
    [
        ("worker:poll:a", {"worker:poll:a"}),
        ("worker:poll:x:y", {"worker:poll:x:y"}),
        ("worker:tidy", {"worker:tidy"}),
        ("worker:poll", {"worker:poll"}),
        ("worker:poll:*", {"worker:poll:a", "worker:poll:b", "worker:poll:x:y"}),
        ("worker:*:x:y", {"worker:poll:x:y", "worker:scan:x:y"}),
        ("worker:*:*", {f"worker:{spec}:{tenant}" for spec in ("poll", "scan") for tenant in ("a", "b", "x:y")}),
        (
            "worker:*",
            {f"worker:{spec}:{tenant}" for spec in ("poll", "scan") for tenant in ("a", "b", "x:y")}
            | {"worker:tidy", "worker:poll"},
        ),
    ],
)
async def test_an_order_is_for_the_workers_that_it_names(lab, workers, meant):
    """An id, or ``*`` for any resource or any tenant; a worker of nobody has no tenant that could be any."""
    scheduler, paused = two_modules(lab), set()

    async def script() -> None:
        await anyio.sleep(5)
        assert scheduler.controls.pause(workers) == len(meant)
        paused.update(name for name, state in scheduler.controls.state().items() if state.paused)

    await lab.run_for(8, scheduler, script)

    assert paused == meant


@pytest.mark.parametrize("order", ["pause", "resume", "trigger", "kill"])
@pytest.mark.parametrize(
    "workers",
    [
        "", "*", "worker", "worker:", "worker::", "worker::a", "worker:poll:", "worker:*:", "worker:nothing", "poll:a",
        "worker:nothing:*", "worker:poll:nobody", "worker:*:nobody", "worker:scan", "worker:tidy:a", "worker:tidy:*",
        "preflight:check:a", "preflight:*", "WORKER:*", " worker:*", "worker:p*:a", "worker:poll:a ", "worker:poll:**",
    ],
)  # fmt: skip
async def test_an_order_for_nobody_is_refused(lab, workers, order):
    """The message has what was asked for and how it is written; nothing happens to anybody."""
    scheduler = two_modules(lab)

    async def script() -> None:
        await anyio.sleep(5)
        with pytest.raises(ControlError, match="no worker matches") as refused:
            getattr(scheduler.controls, order)(workers)
        assert repr(workers) in str(refused.value)
        assert isinstance(refused.value, ContractError)
        assert not any(state.paused for state in scheduler.controls.state().values())

    await lab.run_for(8, scheduler, script)


async def test_a_tenant_that_is_called_like_the_sign_for_any_is_one_of_them(lab):
    """It cannot be meant alone, and it is not left out either."""
    scheduler = lab.scheduler(lab.Shops(WorkerSpec("poll", 10, lab.Work()), tenants=("*", "a", "a*")), splay=False)

    async def script() -> None:
        await anyio.sleep(5)
        assert scheduler.controls.pause("worker:poll:*") == 3
        assert scheduler.controls.resume("worker:poll:a*") == 1

    await lab.run_for(8, scheduler, script)
