"""Putting a service together: synchronous providers that build, managed objects that the service opens."""

from orchestrator.container.errors import BuildError, ContainerError, ManagedError, OverrideError, WiringError
from orchestrator.container.lifecycle import Modules, built, opened
from orchestrator.container.providers import Container, Managed
from orchestrator.container.testing import overriding
from orchestrator.container.wiring import wiring_problems

__all__ = [
    "BuildError",
    "Container",
    "ContainerError",
    "Managed",
    "ManagedError",
    "Modules",
    "OverrideError",
    "WiringError",
    "built",
    "opened",
    "overriding",
    "wiring_problems",
]
