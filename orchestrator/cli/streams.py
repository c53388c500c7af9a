"""Standard output and error as they really are: closed, full, a pipe without a reader, a terminal that knows ASCII."""

import io
import os
import sys
from typing import TextIO


class OutputError(Exception):
    """Standard output cannot be written to, for example because the disk is full."""

    exit_code = 1


def prepare() -> None:
    """Make both streams safe to write any text to."""
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(line: str) -> None:
    """One line on standard output. BrokenPipeError when nobody reads it, OutputError when it cannot be written."""
    try:
        sys.stdout.write(f"{line}\n")
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _refused(error) from error


def flush() -> None:
    """Write what is left, so that a failure shows here and not when the interpreter ends. Raises as :func:`write`."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _refused(error) from error


def reader_is_gone() -> bool:
    """Whether nobody reads standard output any more (``plan | head``); it leads nowhere from then on."""
    import select

    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    gone = any(events & select.POLLERR for _, events in poll.poll(0))
    if gone:
        _silence(sys.stdout)
    return gone


def say(message: str) -> None:
    """One message on standard error; nothing when nobody reads it."""
    try:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
    except OSError:
        _silence(sys.stderr)


def _refused(error: OSError) -> OutputError:
    _silence(sys.stdout)
    return OutputError(f"standard output cannot be written to: {error.strerror or error}")


def _silence(stream: TextIO) -> None:
    """Let *stream* lead nowhere, so that the interpreter does not complain about it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")
