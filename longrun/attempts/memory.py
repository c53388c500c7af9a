"""Attempts that live as long as the process."""

import time
from collections.abc import Callable, Mapping

from longrun.attempts.attempts import TTL, Attempts
from longrun.attempts.keys import end_of
from longrun.durations import Duration, seconds

#: Seconds between two searches for expired attempts.
CLEANED_EVERY = 3600.0


class MemoryAttempts:
    """A :class:`longrun.attempts.AttemptStore` in memory. *ttl* in seconds; *wall* gives seconds since the epoch."""

    def __init__(self, *, ttl: Duration = TTL, wall: Callable[[], float] = time.time) -> None:
        self._ttl = seconds(ttl, "MemoryAttempts ttl")
        self._wall = wall
        self._kept: dict[str, Attempts] = {}
        self._clean_at = 0.0

    async def increment(self, key: str, *, wait: float, not_before: float, by: int = 1) -> int:
        """See the port."""
        new = Attempts(by, wait, not_before)
        self._clean()
        before = self._fresh(key)
        after = new if before is None else before.then(new)
        self._kept[key] = after
        return after.count

    async def get(self, key: str) -> Attempts | None:
        """See the port."""
        return self._fresh(key)

    async def load(self, prefix: str) -> Mapping[str, Attempts]:
        """See the port."""
        wall, end = self._wall(), end_of(prefix)
        return {
            key: kept for key, kept in self._kept.items() if prefix <= key < end and not kept.expired(wall, self._ttl)
        }

    async def reset(self, prefix: str) -> None:
        """See the port."""
        self._kept.pop(prefix, None)
        if prefix.endswith("/"):
            for key in [key for key in self._kept if key.startswith(prefix)]:
                del self._kept[key]

    def _fresh(self, key: str) -> Attempts | None:
        kept = self._kept.get(key)
        return None if kept is None or kept.expired(self._wall(), self._ttl) else kept

    def _clean(self) -> None:
        wall = self._wall()
        if wall < self._clean_at <= wall + CLEANED_EVERY:
            return
        self._clean_at = wall + CLEANED_EVERY
        for key in [key for key, kept in self._kept.items() if kept.expired(wall, self._ttl)]:
            del self._kept[key]

    def __repr__(self) -> str:
        return f"<MemoryAttempts: {len(self._kept)}>"
