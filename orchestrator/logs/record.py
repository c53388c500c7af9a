"""What a log record holds, read without ever raising: its arguments are any objects, and a line must not break work."""

import logging
import traceback

#: Attributes that every record has.
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def message_of(record: logging.LogRecord) -> str:
    """The record's message; a message whose arguments do not fit is shown with them, it never raises."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - see above
        return f"{shown(record.msg)} [arguments do not fit: {shown(record.args)}]"


def failure_of(record: logging.LogRecord) -> str:
    """The formatted traceback, or nothing."""
    if record.exc_text:
        return record.exc_text
    if not isinstance(record.exc_info, tuple) or record.exc_info[0] is None:
        return ""
    try:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    except Exception:  # noqa: BLE001 - see above: an error's own __str__ may fail
        return f"{record.exc_info[0].__qualname__} [cannot be shown]"


def shown(value: object) -> str:
    """``str(value)`` that never raises."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - see above
        return f"<{type(value).__qualname__} that cannot be shown>"
