"""The system that a load names. Its module is imported in the process that needs it: no row has another one's."""

from importlib import import_module

from benchmarks.inbox.load import Load
from benchmarks.inbox.system import System


def make(load: Load) -> System:
    """Raises NotHere when the system is not installed."""
    module, _, name = load.system.partition(":")
    system: System = getattr(import_module(f"benchmarks.inbox.systems.{module}"), name)(load.url, **dict(load.options))
    return system
