"""The command line as a real process, and a tiny service in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

SERVICE = """
from dependency_injector import providers

from orchestrator import Container, Service, Settings
from orchestrator.contracts import Module, PreflightSpec, WorkerSpec


class Validator:
    def task_spec(self):
        return PreflightSpec("repository-validator", self.check, timeout=5)

    async def check(self, tenant):
        raise AssertionError("planning runs nothing")


class Poller:
    def __init__(self, resource):
        self.resource = resource

    def task_spec(self):
        return WorkerSpec(self.resource, 60, self.poll)

    async def poll(self, tenant):
        raise AssertionError("planning runs nothing")


class Repositories(Module):
    name = "repositories"

    def tenants(self):
        return ["acme/shop", "acme/caf\\u00e9"]

    def preflights(self):
        return [Validator()]

    def workers(self):
        return [Poller("issue-poller")]


class Organisations(Module):
    name = "organisations"

    def tenants(self):
        return ["acme"]

    def workers(self):
        return [Poller("member-poller")]


class TinyContainer(Container):
    modules = providers.Dict(
        repositories=providers.Singleton(Repositories), organisations=providers.Singleton(Organisations)
    )


class Tiny(Service):
    name = "tiny"
    settings = Settings
    container = TinyContainer
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with the module ``tiny``, which holds the service ``Tiny``."""
    (tmp_path / "tiny.py").write_text(SERVICE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def environment():
    """The process's environment, without what would name a service."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORCHESTRATOR_")}
    paths = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {"PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture
def orchestrator(folder, environment):
    """Runs ``python -m orchestrator`` in the folder of the tiny service."""

    def run(*arguments, env=None, python=(), **options):
        command = [sys.executable, *python, "-m", "orchestrator", *arguments]
        options.setdefault("capture_output", True)
        return subprocess.run(
            command, cwd=folder, env=environment | (env or {}), text=True, timeout=60, check=False, **options
        )

    return run
