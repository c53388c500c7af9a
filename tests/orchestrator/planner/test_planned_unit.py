"""Units: what they call with, what they keep, and how little they weigh."""

import sys

import anyio
import pytest

from orchestrator.contracts import Module
from orchestrator.planner import Planner, WorkNotAsync


def units(module):
    """The units of a plan of *module*."""
    return Planner({module.name: module}).plan().units


@pytest.mark.anyio
async def test_a_worker_receives_its_tenant_completed_and_asks_once(domain):
    """Two workers of one tenant share one lookup, over all their runs."""
    calls = []

    async def work(tenant):
        calls.append(tenant)

    module = domain.Listed(tenant_list=["acme"], worker_list=[domain.worker("a", work), domain.worker("b", work)])
    first, second = units(module)

    await first.work("run")
    await second.work("run")
    await first.work("run")

    assert calls == ["acme#1"] * 3
    assert module.lookups == ["acme"]


@pytest.mark.anyio
async def test_units_of_a_tenant_that_start_together_ask_once(domain):
    """The others wait for the answer of the first."""
    asked = []
    release = anyio.Event()

    class Slow(domain.Listed):
        async def resolve(self, tenant):
            asked.append(tenant)
            await release.wait()
            return tenant

    module = Slow(tenant_list=["acme"], worker_list=[domain.worker("a"), domain.worker("b"), domain.worker("c")])

    async with anyio.create_task_group() as group:
        for unit in units(module):
            group.start_soon(unit.work, "run")
        await anyio.wait_all_tasks_blocked()
        release.set()

    assert asked == ["acme"]


@pytest.mark.anyio
async def test_a_failed_lookup_fails_its_run_and_is_asked_again(domain):
    """Only success is kept."""
    answers = [LookupError("not stored yet"), "acme#7"]
    calls = []

    class Late(domain.Listed):
        async def resolve(self, tenant):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    async def work(tenant):
        calls.append(tenant)

    (unit,) = units(Late(tenant_list=["acme"], worker_list=[domain.worker("a", work)]))

    with pytest.raises(LookupError):
        await unit.work("run")
    await unit.work("run")
    await unit.work("run")

    assert calls == ["acme#7", "acme#7"]


@pytest.mark.anyio
async def test_when_a_lookup_fails_one_of_those_who_wait_for_it_asks(domain):
    """One run fails of it; the others wait for the second answer."""
    asked = []
    release = anyio.Event()

    class Slow(domain.Listed):
        async def resolve(self, tenant):
            asked.append(tenant)
            await release.wait()
            if len(asked) == 1:
                raise LookupError("not stored yet")
            return tenant

    module = Slow(tenant_list=["acme"], worker_list=[domain.worker(name) for name in "abc"])
    failed = []

    async def run(unit):
        try:
            await unit.work("run")
        except LookupError:
            failed.append(unit.name)

    async with anyio.create_task_group() as group:
        for unit in units(module):
            group.start_soon(run, unit)
        await anyio.wait_all_tasks_blocked()
        release.set()

    assert asked == ["acme", "acme"]
    assert len(failed) == 1


@pytest.mark.anyio
async def test_tenants_of_a_module_without_a_resolve_of_its_own_are_complete_as_configured(domain):
    """Nobody is asked, and nothing is kept of the answer."""
    calls = []

    async def work(tenant):
        calls.append(tenant)

    class Plain(domain.Listed):
        resolve = Module.resolve

    (unit,) = units(Plain(tenant_list=["acme"], worker_list=[domain.worker("a", work)]))

    await unit.work("run")

    assert calls == ["acme"]
    assert repr(unit.declaration.resolution) == "<Resolution: 0 tenants known>"


@pytest.mark.anyio
async def test_a_lookup_that_is_cancelled_leaves_the_next_run_free_to_ask(domain):
    """A timeout of one run does not lock the tenant."""
    asked = []

    class Hanging(domain.Listed):
        async def resolve(self, tenant):
            asked.append(tenant)
            if len(asked) == 1:
                await anyio.sleep_forever()
            return tenant

    (unit,) = units(Hanging(tenant_list=["acme"], worker_list=[domain.worker()]))

    async with anyio.create_task_group() as group:
        group.start_soon(unit.work, "run")
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    await unit.work("run")

    assert asked == ["acme", "acme"]


@pytest.mark.anyio
async def test_a_preflight_receives_its_tenant_as_configured(domain):
    """What a lookup needs may be stored by this very preflight."""
    calls = []

    async def work(tenant):
        calls.append(tenant)

    module = domain.Listed(tenant_list=["acme"], preflight_list=[domain.preflight("a", work)])
    (unit,) = units(module)

    await unit.work("run")

    assert calls == ["acme"]
    assert module.lookups == []


@pytest.mark.anyio
async def test_a_forgotten_tenant_is_looked_up_again(domain):
    """Its preflights may have stored something new."""
    module = domain.Listed(tenant_list=["acme"], worker_list=[domain.worker()])
    plan = Planner({"repositories": module}).plan()
    await plan.units[0].work("run")

    plan.forget("repositories", "acme")
    await plan.units[0].work("run")

    assert module.lookups == ["acme", "acme"]


@pytest.mark.anyio
async def test_the_run_is_passed_to_work_that_asks_for_it(domain):
    """As the second argument, or as the only one of global work; a default is left alone."""
    calls = []

    async def tenant_and_run(tenant, run):
        calls.append((tenant, run))

    async def tenant_and_default(tenant, limit=50):
        calls.append((tenant, limit))

    async def only_run(run):
        calls.append(run)

    module = domain.Listed(
        tenant_list=["acme"],
        preflight_list=[domain.preflight("a", tenant_and_run), domain.preflight("b", tenant_and_default)],
        global_worker_list=[domain.global_worker("c", only_run)],
    )

    for unit in units(module):
        await unit.work("run")

    assert calls == [("acme", "run"), ("acme", 50), "run"]


@pytest.mark.anyio
async def test_work_that_is_not_async_is_a_permanent_error_that_names_it(domain):
    """Running it again cannot help."""
    (unit,) = units(domain.Listed(tenant_list=["acme"], preflight_list=[domain.preflight("a", lambda tenant: 3)]))

    with pytest.raises(WorkNotAsync, match=r"preflight:a:acme: its work returned int.*Declares") as caught:
        await unit.work("run")

    assert caught.value.permanent


def test_a_hundred_thousand_units_are_small(domain):
    """A unit holds three references and has no dictionary of its own."""
    module = domain.Listed(tenant_list=["acme"], worker_list=[domain.worker()])

    (unit,) = units(module)

    assert not hasattr(unit, "__dict__")
    assert sys.getsizeof(unit) + sys.getsizeof(unit.id) <= 128
    assert {unit: 1}[units(module)[0]] == 1
