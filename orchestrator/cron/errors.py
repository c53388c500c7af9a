"""Errors of cron.

Exception
 └─ ValueError
     └─ ContractError
         └─ CronError               a moment without a zone, a fire that does not exist, a wrong policy or count
             ├─ ExpressionError     an expression cannot be understood, or can never fire
             ├─ ZoneError           no time zone has this name
             └─ RunnerError         a CronRunner is built wrongly, or its host answers nonsense
"""

from orchestrator.contracts.errors import ContractError


class CronError(ContractError):
    """Something about a schedule is wrong: the message names the value and the remedy."""


class ExpressionError(CronError):
    """The expression *text* cannot be used.

    *field* names the field that is wrong ("minute"), *position* is its number in the expression from 1, *value* what
    stands there. They are None where the expression is wrong as a whole.
    """

    def __init__(
        self,
        message: str,
        *,
        text: str,
        field: str | None = None,
        position: int | None = None,
        value: str | None = None,
    ) -> None:
        super().__init__(message)
        self.text = text
        self.field = field
        self.position = position
        self.value = value


class ZoneError(CronError):
    """No time zone is called *name*."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


class RunnerError(CronError):
    """A CronRunner cannot work as it is built, or its host gave it something that is no job."""
