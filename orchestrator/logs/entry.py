"""A log record as both formats write it: fields in a fixed order, every value bounded."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.logs.record import STANDARD, failure_of, message_of, shown
from orchestrator.logs.text import bounded

#: Fields that every line carries when they are known, in this order.
KNOWN = ("service", "phase", "resource", "tenant", "run_id", "trace_id", "span_id")

_EXPECTED = STANDARD.union(KNOWN)

# Docker and containerd cut lines at 16 KiB; these bounds keep an ordinary line below it.
LONGEST_MESSAGE = 4096
LONGEST_FAILURE = 8192
LONGEST_VALUE = 1024
_MOST_ITEMS = 50
_DEEPEST = 4


@dataclass(slots=True)
class Entry:
    """*fields*: the known ones first, then what the caller added, as plain JSON values."""

    created: float
    level: str
    logger: str
    message: str
    fields: dict[str, object]
    failure: str

    @property
    def time(self) -> datetime:
        """When, in UTC."""
        return datetime.fromtimestamp(self.created, UTC)


def entry_of(record: logging.LogRecord, service: str) -> Entry:
    """Everything that *record* says."""
    said = vars(record)
    message = bounded(message_of(record), LONGEST_MESSAGE)
    fields: dict[str, object] = {}
    for name in KNOWN:
        value = said.get(name)
        if value is None and name == "service" and name not in said:
            value = service
        if value is not None and value != "":
            fields[name] = plain(value)
    if not said.keys() <= _EXPECTED:
        extra = {name: value for name, value in said.items() if name not in _EXPECTED}
        repeated = extra.pop("repeated", None)
        if repeated is not None:
            message += f" (repeated {repeated} times in {extra.pop('repeated_within', '?')} s)"
            extra["repeated"] = repeated
        for name, value in extra.items():
            fields[bounded(str(name), 80)] = plain(value)
    failure = failure_of(record)
    if record.stack_info:
        failure = f"{failure}\n{record.stack_info}".lstrip("\n")
    return Entry(
        created=record.created,
        level=record.levelname.lower(),
        logger=record.name,
        message=message,
        fields=fields,
        failure=bounded(failure, LONGEST_FAILURE),
    )


def plain(value: object, depth: int = 0) -> object:
    """*value* as JSON can say it, bounded in length, number and depth; anything else is its ``str``."""
    if type(value) is str:  # nearly all are; asking for a Mapping first takes longer than all the rest
        return value if len(value) <= LONGEST_VALUE else bounded(value, LONGEST_VALUE)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -(2**63) <= value < 2**64 else bounded(hex(value), LONGEST_VALUE)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if depth < _DEEPEST and isinstance(value, Mapping):
        items = list(value.items())[:_MOST_ITEMS]
        return {bounded(shown(key), 80): plain(below, depth + 1) for key, below in items}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [plain(below, depth + 1) for below in list(value)[:_MOST_ITEMS]]
    return bounded(shown(value), LONGEST_VALUE)
