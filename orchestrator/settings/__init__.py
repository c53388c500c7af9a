"""Settings: typed, from a TOML file, secret files and the environment, each value with its source.

Teams subclass :class:`Settings`, describe their sections with :class:`Section`, and use :data:`Interval`,
:data:`Seconds` and :data:`Secret`. This package alone imports pydantic.
"""

from orchestrator.settings.environment import PREFIX
from orchestrator.settings.errors import Problem, SettingsError
from orchestrator.settings.loading import load
from orchestrator.settings.provenance import Effective, effective, provenance, secret_values, settings_file
from orchestrator.settings.sections import InboxSection, LogSection, OrchestratorSection, Section, Settings
from orchestrator.settings.types import Interval, Seconds, Secret

__all__ = [
    "PREFIX",
    "Effective",
    "InboxSection",
    "Interval",
    "LogSection",
    "OrchestratorSection",
    "Problem",
    "Seconds",
    "Secret",
    "Section",
    "Settings",
    "SettingsError",
    "effective",
    "load",
    "provenance",
    "secret_values",
    "settings_file",
]
