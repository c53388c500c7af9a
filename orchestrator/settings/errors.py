"""Errors of the settings.

ContractError
 └─ SettingsError      the settings cannot be used; it lists every problem, one line each
"""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.contracts import ContractError
from orchestrator.logs.text import one_line


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where it was said, which field, and what would be right.

    *source* reads ``config/app.toml:12``, ``environment ORCHESTRATOR_LOG__LEVEL`` or ``secret file /run/...``.
    *text* goes on after the field name: ``is 'soon'; it must be a number``. Secrets are masked before they come here.
    """

    source: str
    field: str
    text: str

    def __str__(self) -> str:
        return one_line(": ".join(part for part in (self.source, f"{self.field} {self.text}".strip()) if part))


class SettingsError(ContractError):
    """The settings cannot be used. ``str()`` is the whole report; *problems* is the same as data."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems]
        if len(lines) == 1:
            super().__init__(f"the settings are not valid: {lines[0]}")
        else:
            super().__init__("\n  ".join([f"the settings are not valid, {len(lines)} problems:", *lines]))
