"""A small domain to plan: modules that are made of whatever specs a test needs."""

from dataclasses import dataclass, field

import pytest

from orchestrator.contracts import GlobalPreflightSpec, GlobalWorkerSpec, Module, PreflightSpec, WorkerSpec


async def tenant_work(tenant):
    """Do nothing for a tenant."""


async def global_work():
    """Do nothing."""


@dataclass
class Declares:
    """Declares the spec that it was given, or raises it."""

    spec: object

    def task_spec(self):
        if isinstance(self.spec, Exception):
            raise self.spec
        return self.spec


@dataclass
class Listed(Module):
    """A module made of lists."""

    name: str = "repositories"
    tenant_list: object = ("acme/shop", "acme/site")
    preflight_list: object = ()
    worker_list: object = ()
    global_preflight_list: object = ()
    global_worker_list: object = ()
    lookups: list = field(default_factory=list)

    def tenants(self):
        return self.tenant_list

    def preflights(self):
        return self.preflight_list

    def workers(self):
        return self.worker_list

    def global_preflights(self):
        return self.global_preflight_list

    def global_workers(self):
        return self.global_worker_list

    async def resolve(self, tenant):
        self.lookups.append(tenant)
        return f"{tenant}#{len(self.lookups)}"


class Domain:
    """What the tests of this folder build plans from."""

    Listed = Listed
    Declares = Declares

    @staticmethod
    def preflight(resource="validator", work=tenant_work, **options):
        return Declares(PreflightSpec(resource, work, **options))

    @staticmethod
    def worker(resource="poller", work=tenant_work, interval=60, **options):
        return Declares(WorkerSpec(resource, interval, work, **options))

    @staticmethod
    def global_preflight(resource="quota", work=global_work):
        return Declares(GlobalPreflightSpec(resource, work))

    @staticmethod
    def global_worker(resource="explainer", work=global_work, interval=60):
        return Declares(GlobalWorkerSpec(resource, interval, work))


@pytest.fixture
def domain():
    """Modules and declarers in a line each."""
    return Domain
