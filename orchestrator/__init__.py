"""Longrun's orchestrator: specs x tenants -> preflights that must all pass -> workers that run for ever.

This file imports nothing, so that ``orchestrator.contracts`` stays a leaf and ``python -m orchestrator --help`` is
instant; the names below are loaded when they are first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.container import Container as Container
    from orchestrator.container import Managed as Managed
    from orchestrator.service import Service as Service
    from orchestrator.settings import Settings as Settings

__all__ = ["Container", "Managed", "Service", "Settings"]

_HOMES = {
    "Container": "orchestrator.container",
    "Managed": "orchestrator.container",
    "Service": "orchestrator.service",
    "Settings": "orchestrator.settings",
}


def __getattr__(name: str) -> object:
    """Load a public name from its home when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'orchestrator' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
