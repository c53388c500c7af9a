"""GitHub repositories as tenants: validated, polled, and their issues explained.

The core (entities, ports, workers, rules) knows the standard library and :mod:`orchestrator.contracts`; HTTP, SQL and
models are met in ``adapters``; ``settings``, ``container`` and ``service`` put it together. The service is named
``domain.github:Github`` and loaded when it is asked for, so that importing an entity imports no framework.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.github.service import Github as Github

__all__ = ["Github"]


def __getattr__(name: str) -> object:
    """Load the service when it is first asked for (PEP 562)."""
    if name != "Github":
        raise AttributeError(f"module 'domain.github' has no attribute {name!r}")
    from importlib import import_module

    service: object = import_module("domain.github.service").Github
    globals()[name] = service
    return service
