"""The entry point: reads the arguments, finds the service, runs the command, turns every failure into an exit code."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

from orchestrator.cli import streams
from orchestrator.cli.failures import report
from orchestrator.cli.options import CommandParser

#: The modules of the commands, in the order of the help. Each has add_parser(subparsers) and run(args) -> exit code.
COMMANDS = ("run", "check", "plan", "config", "inbox", "schedules", "migrate")

CANCELLED = 3

_EXIT_CODES = """\
exit codes:
  0    finished, or stopped by a signal after a clean drain
  1    a preflight failed or a worker died; a command on a database failed
  2    wrong usage or configuration
  3    cancelled before the preflights had passed
  4    the drain deadline passed and runs were abandoned
  130  forced by a second signal; a command on a database was interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* (by default the process's own arguments) names; the exit code of the process."""
    streams.prepare()
    try:
        _leave_on_a_signal()
        code = _code(argv)
        streams.flush()
    except KeyboardInterrupt:
        return _cancelled()
    except BrokenPipeError as error:
        return 0 if streams.reader_is_gone() else report(error)
    except BaseExceptionGroup as group:
        return _cancelled() if group.subgroup(KeyboardInterrupt) else report(group)
    except Exception as error:  # noqa: BLE001 - the last handler of the process: each failure becomes an exit code
        return report(error)
    return code


def _cancelled() -> int:
    with suppress(OSError):  # nobody may be there to read it
        os.write(2, b"cancelled by a signal\n")  # also in the middle of a write to the stream
    return CANCELLED


def _code(argv: Sequence[str] | None) -> int:
    try:
        return _run(_parser().parse_args(argv))
    except SystemExit as stop:  # argparse has said what it had to say
        return stop.code if isinstance(stop.code, int) else 0


def _leave_on_a_signal() -> None:
    """Until the event loop has handlers of its own, nothing is open yet: a signal ends the process at once with 3.

    No KeyboardInterrupt: one that passes through ``exec`` of a text, in an import, lets the interpreter die of SIGINT
    even when it was caught.
    """
    import signal
    import threading

    # Not undone: the process ends with its command.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os._exit(_cancelled()))


def _run(args: argparse.Namespace) -> int:
    if args.needs_service:
        from orchestrator.cli.locate import load_service, locate

        found = locate(args.service, args.config)
        args.service_type, args.config = load_service(found.service), found.config
    command = cast("Callable[[argparse.Namespace], int]", args.command_run)
    return command(args)


def _parser() -> CommandParser:
    own_script = os.path.basename(sys.argv[0]) == "orchestrator"
    parser = CommandParser(
        prog="orchestrator" if own_script else "python -m orchestrator",
        description="Runs a service: all preflights first, then its workers for ever.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    parser.set_defaults(service=None, config=None, needs_service=True)
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        _add_command(name, subparsers)
    return parser


def _add_command(name: str, subparsers: "argparse._SubParsersAction[CommandParser]") -> None:
    from importlib import import_module

    command = import_module(f"orchestrator.cli.{name}")
    command.add_parser(subparsers)
    subparsers.choices[name].set_defaults(command_run=command.run)


class _Version(argparse.Action):
    """``--version``, which looks the version up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:  # noqa: ARG002 - the signature is argparse's
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show the version and exit")

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002 - the signature is argparse's
        values: object,  # noqa: ARG002 - the signature is argparse's
        option_string: str | None = None,  # noqa: ARG002 - the signature is argparse's
    ) -> None:
        sys.stdout.write(f"longrun {_version()}\n")
        parser.exit()


def _version() -> str:
    """Read from its file alone: importing the package would import all of it."""
    import runpy
    from importlib.util import find_spec

    package = find_spec("longrun")
    folders = package.submodule_search_locations if package else None
    return str(runpy.run_path(os.path.join(folders[0], "_version.py"))["__version__"]) if folders else "unknown"
