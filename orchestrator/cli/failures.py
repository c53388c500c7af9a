"""What a failure of a command looks like: one message and an exit code; a traceback only for a bug."""

import traceback
from collections.abc import Iterator

from orchestrator.cli.streams import say

FAILED = 1
MISUSED = 2


def report(error: BaseException) -> int:
    """Tell *error* on standard error; the exit code of the process.

    An error that knows its ``exit_code``, or is a declaration's (ContractError), was made for the user: its message
    is told as it is. Anything else is a bug, in the framework or in the service, and is told with its traceback.
    """
    leaves = list(_leaves(error))
    codes = [_exit_code(leaf) for leaf in leaves]
    if None in codes:
        kind = type(error).__name__
        say(f"error: {kind} was not expected: this is a bug, in the service or in the framework; please report it")
        say("".join(traceback.format_exception(error)).rstrip())
        return FAILED
    for leaf in leaves:
        notes: list[str] = getattr(leaf, "__notes__", [])
        say("\n".join([f"error: {leaf}", *(f"  {note}" for note in notes)]))
    return max(code for code in codes if code is not None)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)


def _exit_code(error: BaseException) -> int | None:
    from orchestrator.contracts.errors import ContractError

    code = getattr(error, "exit_code", MISUSED if isinstance(error, ContractError) else None)
    return code if isinstance(code, int) else None
