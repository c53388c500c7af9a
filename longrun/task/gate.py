"""Gate: one wait hint parks every task that uses the same upstream credential."""

from zlib import crc32

#: Tasks wake up spread over this share of the wait (and at most the seconds below), so that they do not return as one.
SPREAD_SHARE = 0.1
SPREAD_CAP = 30.0

#: Seconds by which rounding lets a task arrive before the opening that it waited for.
_EPSILON = 1e-6


def spread(name: str) -> float:
    """A stable share in [0, 1) for *name*: the same in every process and on every start."""
    return crc32(name.encode("utf-8", "surrogatepass")) / 2**32


class Gate:
    """Open, or closed until an instant on the event loop's clock. Shared by all tasks that carry it.

    A task whose failure carries a wait hint closes its gate for the time asked; the others are put back on the
    calendar, holding neither a slot nor a coroutine, and wake up spread behind the opening.
    """

    __slots__ = ("_closed_at", "_opens_at", "key")

    def __init__(self, key: str) -> None:
        if not isinstance(key, str) or not key:
            raise ValueError(f"Gate key is {key!r}; give the name of the credential that is shared")
        self.key = key
        self._closed_at = 0.0
        self._opens_at = 0.0

    def close(self, now: float, until: float) -> None:
        """Stay closed until *until*; an earlier end never shortens a later one."""
        if until > self._opens_at:
            if self._opens_at <= now:
                self._closed_at = now
            self._opens_at = until

    def opens_for(self, name: str, now: float) -> float | None:
        """When the task *name* may start; None: now."""
        if self._opens_at <= now + _EPSILON:
            return None
        width = min(SPREAD_CAP, SPREAD_SHARE * (self._opens_at - self._closed_at))
        return self._opens_at + width * spread(name)

    def __repr__(self) -> str:
        return f"<Gate {self.key}: opens at {self._opens_at:.3f}>"
