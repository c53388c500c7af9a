"""What stands in the arguments of the commands on a database: durations, times, numbers, payloads."""

import argparse
import json
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from orchestrator.cli.inbox import words

if TYPE_CHECKING:
    from orchestrator.contracts import JsonValue

T = TypeVar("T")

#: The states of a run, those that end it, and the ways to make up for missed fires; none of it imports the inbox.
STATES = ("pending", "leased", "succeeded", "failed", "cancelled")
ENDED = ("succeeded", "failed", "cancelled")

#: What to do about a payload that a shell, or somebody in a hurry, has made no JSON of.
_QUOTED = """; quote it for the shell, as '{"order": 7}', or give it as @FILE or -"""

PAYLOAD_HELP = "JSON, - for standard input, or @FILE; {} when it is left out"


class PayloadError(Exception):
    """The payload cannot be read, or is no JSON; the message says where."""

    exit_code = 2


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, help_text: str, examples: str = ""
) -> argparse.ArgumentParser:
    """A command *name* with ``--url`` and ``--json``; *examples* stand below its help."""
    parser = commands.add_parser(
        name,
        help=help_text,
        description=help_text,
        epilog=f"examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_url(parser)
    return parser


def add_url(parser: argparse.ArgumentParser) -> None:
    """``--url``, which has no default here: a command that was not given it leaves the one before its name alone."""
    parser.add_argument(
        "--url",
        default=argparse.SUPPRESS,
        metavar="URL",
        help="the database itself, sqlite:///x.db or postgresql://user@host/db (else that of the service, else "
        "$ORCHESTRATOR_STATE__URL)",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """How a run that is to be made is treated."""
    parser.add_argument("--priority", type=int, default=100, metavar="N", help="lower runs first (100)")
    parser.add_argument(
        "--max-attempts", type=int, default=3, metavar="N", help="failed executions until the run is failed (3)"
    )


def _checked(read: Callable[[str], T]) -> Callable[[str], T]:
    def check(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return check


duration: Callable[[str], float] = _checked(words.seconds)
moment: Callable[[str], datetime] = _checked(words.moment)
text: Callable[[str], str] = _checked(words.text)


def payload(said: str | None) -> "JsonValue":
    """The JSON value that *said* is, or names. Raises PayloadError."""
    if said is None:
        return {}
    document, source = _document(said)
    try:
        value: JsonValue = json.loads(document, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise PayloadError(
            f"the payload{source} is no JSON: {error.msg} ({place}); {_near(error)}{'' if source else _QUOTED}"
        ) from None
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise PayloadError(f"the payload{source} is no JSON: {why}") from None
    return value


def _document(said: str) -> tuple[str, str]:
    if said != "-" and not said.startswith("@"):
        return said, ""
    if said == "@":
        raise PayloadError("the payload is '@' without a file; write its name behind it, as @report.json")
    source = " on standard input" if said == "-" else f" in {said[1:]!r}"
    if said == "-" and sys.stdin is None:
        raise PayloadError(f"the payload{source} cannot be read: it is closed")
    try:
        raw = sys.stdin.buffer.read() if said == "-" else Path(said[1:]).read_bytes()
        return raw.decode("utf-8-sig"), source
    except UnicodeDecodeError as error:
        raise PayloadError(f"the payload{source} is no UTF-8 text: {error.reason} at byte {error.start}") from None
    except (OSError, ValueError) as error:  # a NUL in the name is a ValueError
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise PayloadError(f"the payload{source} cannot be read: {why}") from None


def _near(error: json.JSONDecodeError) -> str:
    near = error.doc[error.pos : error.pos + 20]
    return f"there stands {near!r}" if near else "it ends there"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is none of its values")
