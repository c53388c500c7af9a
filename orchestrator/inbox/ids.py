"""Ids of runs and schedules: UUIDs of version 7 (RFC 9562), so that rows which are made together lie together."""

from collections.abc import Callable
from datetime import UTC, datetime
from os import urandom
from threading import Lock
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NODE = (1 << 48) - 1


class RunIds:
    """Each call gives a new id, greater than all before it from the same object.

    48 bits of milliseconds, 12 bits of a fraction (the RFC's method 3), 62 random bits.
    """

    def __init__(self, now: Callable[[], datetime], getrandbits: Callable[[int], int] | None = None) -> None:
        self._now = now
        self._getrandbits = getrandbits or _random
        self._last = 0
        self._lock = Lock()  # submit_in runs in worker threads

    def __call__(self) -> str:
        since = self._now() - _EPOCH
        microseconds = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
        with self._lock:
            tick = self._last = max(self._last + 1, (microseconds << 12) // 1000)
        low = 0b10 << 62 | self._getrandbits(62)
        # As str(UUID(int=...)), in a third of the time.
        return f"{tick >> 28:08x}-{tick >> 12 & 0xFFFF:04x}-7{tick & 0xFFF:03x}-{low >> 48:04x}-{low & _NODE:012x}"


def _random(bits: int) -> int:
    return int.from_bytes(urandom(8)) >> 64 - bits


def as_stored(given: object) -> str | None:
    """The id *given* as the tables spell it: a UUID, or its text in any of its spellings; None for anything else."""
    try:
        return str(given if isinstance(given, UUID) else UUID(given))  # type: ignore[arg-type] # whatever it is
    except (ValueError, AttributeError, TypeError):
        return None
