"""What is kept of one rule of one task. Pure."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from longrun.durations import seconds

_log = logging.getLogger("longrun.attempts")

#: Seconds after which kept attempts no longer count: a week, longer than any outage that a curve should remember.
TTL = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Attempts:
    """*count* retries were spent since the last success, the last of them after *last_wait* seconds.

    *not_before*: when that attempt is allowed, in wall-clock seconds since the epoch. ValueError for nonsense.
    """

    count: int
    last_wait: float
    not_before: float

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ValueError(f"Attempts count is {self.count!r}; give a whole number of at least 1")
        object.__setattr__(self, "last_wait", seconds(self.last_wait, "Attempts last_wait", zero=True))
        object.__setattr__(self, "not_before", seconds(self.not_before, "Attempts not_before", zero=True))

    def left(self, wall: float) -> float:
        """Seconds still to be waited at *wall*: never more than ``last_wait``, however far the clock was set back."""
        return min(self.last_wait, max(0.0, self.not_before - wall))

    def expired(self, wall: float, ttl: float = TTL) -> bool:
        """Whether *ttl* seconds have passed since the attempt was allowed: too long ago to say anything."""
        return wall - self.not_before > ttl

    def resumed(self, retries: int | None) -> int:
        """The count with which a restarted task goes on, whose rule has *retries* (None: without limit).

        The place on the curve is kept, but at least one retry is left: a restart resumes the wait, not the death. Of a
        rule with one retry nothing is left to remember but the wait.
        """
        return self.count if retries is None else min(self.count, retries - 1)

    def then(self, later: "Attempts") -> "Attempts":
        """These and *later* together."""
        return Attempts(self.count + later.count, later.last_wait, later.not_before)


def understood(rows: Iterable[tuple[object, ...]], where: str) -> Iterable[tuple[str, Attempts]]:
    """Key, and what *rows* of a table at *where* say of it; one that somebody has made nonsense of is passed over."""
    for key, count, last_wait, not_before in rows:
        try:
            yield str(key), Attempts(count, last_wait, not_before)  # type: ignore[arg-type]  # it checks its values
        except ValueError as error:
            _log.warning("%s: the attempts of %r are passed over: %s", where, key, error)
