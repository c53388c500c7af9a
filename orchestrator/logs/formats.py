"""The two formats of a line: JSON for machines, columns for people."""

import json
import logging
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii as quoted

from orchestrator.logs.entry import entry_of
from orchestrator.logs.text import one_line

_RESERVED = frozenset({"ts", "level", "logger", "message", "exc_info"})
_COLOURS = {"debug": "2", "warning": "33", "error": "31", "critical": "1;31"}
_DETAILS = ("phase", "run_id", "trace_id", "span_id")
_SHORT = {"warning": "warn", "critical": "crit"}


class JsonFormatter(logging.Formatter):
    """One JSON object on one line, ASCII only: no text in it can end the line or start another."""

    def __init__(self, service: str = "") -> None:
        super().__init__()
        self._service = service
        self._encode = json.JSONEncoder(allow_nan=False).encode  # json.dumps would make one for each line
        self._second, self._until_second = -1, ""  # most lines have theirs in common with the line before

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline. Keys: ts, level, logger, message, then context and extra fields."""
        entry = entry_of(record, self._service)
        line = (
            f'{{"ts": "{self._time(entry.created)}", "level": {quoted(entry.level)}, '
            f'"logger": {quoted(entry.logger)}, "message": {quoted(entry.message)}'
        )
        fields = entry.fields
        if not _RESERVED.isdisjoint(fields):
            fields = {f"extra_{name}" if name in _RESERVED else name: value for name, value in fields.items()}
        for name, value in fields.items():
            # Strings, which nearly all are, by themselves: an encoder is made anew for whatever else it is given.
            line += f", {quoted(name)}: {quoted(value) if type(value) is str else self._encode(value)}"
        return f'{line}, "exc_info": {quoted(entry.failure)}}}' if entry.failure else f"{line}}}"

    def _time(self, created: float) -> str:
        second, micros = divmod(round(created * 1_000_000), 1_000_000)
        if second != self._second:
            self._second = second
            self._until_second = datetime.fromtimestamp(second, UTC).isoformat()[:19]
        return f"{self._until_second}.{micros // 1000:03d}Z"


class ConsoleFormatter(logging.Formatter):
    """``18:36:07.123 warn  message  tenant=... resource=...`` in UTC; a traceback follows, each line marked ``|``.

    The service is left out: on a terminal one knows it. Lines below a warning leave out the ids of runs and spans too.
    """

    def __init__(self, *, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line, with a marked line for each line of a traceback."""
        entry = entry_of(record, "")
        level = f"{one_line(_SHORT.get(entry.level, entry.level)):<5}"
        if self._colour and entry.level in _COLOURS:
            level = f"\x1b[{_COLOURS[entry.level]}m{level}\x1b[0m"
        when = entry.time
        time = f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}"
        hidden = _DETAILS if record.levelno < logging.WARNING else ()
        shown = ((name, value) for name, value in entry.fields.items() if name not in hidden)
        fields = [f"{one_line(name)}={_word(value)}" for name, value in shown]
        lines = ["  ".join([f"{time} {level}", one_line(entry.message), *([" ".join(fields)] if fields else [])])]
        lines.extend(f"    | {one_line(line)}" for line in entry.failure.splitlines())
        return "\n".join(lines)


def _word(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    quoted = not text or any(sign.isspace() or sign in "=\"'" for sign in text)
    return one_line(json.dumps(text, ensure_ascii=False) if quoted and isinstance(value, str) else text)
