"""What is submitted, checked before anything is stored."""

import math
import re
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime

from orchestrator.inbox.errors import InvalidIntent
from orchestrator.inbox.store.records import ACTIVE
from orchestrator.inbox.wire import PAYLOAD_LIMIT, encode, is_text

#: The longest delay, in seconds: a hundred years.
LONGEST_DELAY = 100 * 366 * 86400.0

#: The most characters of an idempotency key; the index of the PostgreSQL table takes some 2,700 bytes.
LONGEST_KEY = 512

_INT32 = 2**31 - 1
_TYPE = re.compile(r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*")


@dataclass(frozen=True, slots=True)
class Intent:
    """One thing that should happen. Refuses nonsense when it is made (InvalidIntent, InvalidPayload).

    *priority*: lower runs first. *delay*: seconds from now until it may start; or *run_at*, a time with a zone.
    *max_attempts*: how many executions may fail before the run is ``failed``. *unique*: the key is taken only until the
    run ends, so that there is one such run at a time; without it, for as long as the run is stored.
    """

    type: str
    payload: object = None
    _: KW_ONLY
    idempotency_key: str | None = None
    priority: int = 100
    delay: float = 0.0
    run_at: datetime | None = None
    max_attempts: int = 3
    unique: bool = False

    def __post_init__(self) -> None:
        check_type(self.type)
        where = f"intent {self.type!r}"
        if not _whole(self.priority) or not -_INT32 <= self.priority <= _INT32:
            raise InvalidIntent(f"{where}: priority is {self.priority!r}; give a 32-bit whole number, lower runs first")
        if not _whole(self.max_attempts) or not 1 <= self.max_attempts <= _INT32:
            raise InvalidIntent(f"{where}: max_attempts is {self.max_attempts!r}; give a whole number of at least 1")
        _check_key(where, self.idempotency_key, self.unique)
        _check_times(where, self.delay, self.run_at)

    def encoded(self, limit: int = PAYLOAD_LIMIT) -> str:
        """The payload as JSON text. Raises InvalidPayload."""
        return encode(self.payload, f"intent {self.type!r}: the payload", limit)


def check_type(name: object) -> None:
    """InvalidIntent unless *name* can be the type of an intent."""
    if not isinstance(name, str) or len(name) > 200 or not _TYPE.fullmatch(name):
        raise InvalidIntent(
            f"the intent type is {name!r}; use up to 200 letters, digits and underscores in parts joined by dots or "
            "dashes, for example 'billing.invoice.v1'"
        )


def _check_key(where: str, key: object, unique: object) -> None:
    if not isinstance(unique, bool):
        raise InvalidIntent(f"{where}: unique is {unique!r}; give True or False")
    if key is None:
        if unique:
            raise InvalidIntent(f"{where}: unique is True without an idempotency_key; say with one what is unique")
        return
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or not is_text(key):
        raise InvalidIntent(
            f"{where}: idempotency_key is {key!r:.600}; give 1 to {LONGEST_KEY} characters without NUL, or leave it out"
        )
    if key.startswith(ACTIVE):
        raise InvalidIntent(
            f"{where}: idempotency_key is {key!r}; {ACTIVE!r} at its beginning is kept for keys that are unique while "
            "their run is active, so begin it otherwise"
        )


def _check_times(where: str, delay: object, run_at: object) -> None:
    number = isinstance(delay, int | float) and not isinstance(delay, bool)
    if not number or not isinstance(delay, int | float) or not math.isfinite(delay) or not 0 <= delay <= LONGEST_DELAY:
        raise InvalidIntent(f"{where}: delay is {delay!r}; give seconds from 0 to {LONGEST_DELAY:.0f}")
    if run_at is None:
        return
    if not isinstance(run_at, datetime) or run_at.utcoffset() is None:
        raise InvalidIntent(
            f"{where}: run_at is {run_at!r}; give a datetime with a time zone, such as datetime.now(UTC)"
        )
    try:
        run_at.astimezone(UTC)
    except OverflowError:
        raise InvalidIntent(f"{where}: run_at is {run_at!r}, which is no time of UTC; give one some days off") from None
    if delay:
        raise InvalidIntent(f"{where}: both delay ({delay!r}) and run_at ({run_at}) are given; give one of them")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
