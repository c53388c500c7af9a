"""Errors of the planner.

ContractError
 ├─ PlanError       the service cannot be planned; every problem is listed
 ├─ TaskIdError     a text or a part is no task identity
 └─ WorkNotAsync    work returned something that cannot be awaited (permanent)
"""

from collections.abc import Iterable

from orchestrator.contracts.errors import ContractError

#: How many problems the text of an error shows; ``problems`` always holds all of them.
SHOWN = 50


class PlanError(ContractError):
    """The service cannot be planned. *problems* are all that was found, each with its place and its remedy."""

    exit_code = 2

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(_text(self.problems))


class TaskIdError(ContractError):
    """A text or a part is no task identity."""

    exit_code = 2


class WorkNotAsync(ContractError):
    """Work returned something that cannot be awaited; running it again cannot help."""

    exit_code = 2
    permanent = True


def _text(problems: tuple[str, ...]) -> str:
    if len(problems) == 1:
        return f"the plan is refused: {problems[0]}"
    lines = [f"the plan is refused, {len(problems)} problems:", *(f"  - {problem}" for problem in problems[:SHOWN])]
    if len(problems) > SHOWN:
        lines.append(f"  ... and {len(problems) - SHOWN} more")
    return "\n".join(lines)
