"""How long is waited before another try: of a database that is in trouble, or of what another worker is claiming."""

import math
from collections.abc import Callable

#: Seconds until the next claim: doubled with each failure, from the first to the second, give or take a tenth.
CLAIM_AGAIN = (1.0, 30.0)

#: The same for outcomes, which are to be stored before their leases end.
SETTLE_AGAIN = (0.1, 4.0)

#: Seconds until another look at types that another worker was claiming of: as long as that has gone on, from the first
#: to the second, give or take a half.
CONTENDED_AGAIN = (0.02, 0.5)


class Backoff:
    """Pure: the time comes in, in seconds of the event loop. *random* gives 0 to 1."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self.failures = 0
        """In a row."""
        self.claim_from = -math.inf
        self.settle_from = -math.inf

    def failed(self, now: float) -> float:
        """A transaction failed; in how many seconds the next claim is tried."""
        spread = 0.9 + 0.2 * self._random()
        wait = _doubled(CLAIM_AGAIN, self.failures) * spread
        self.claim_from = now + wait
        self.settle_from = now + _doubled(SETTLE_AGAIN, self.failures) * spread
        self.failures += 1
        return wait

    def worked(self) -> None:
        """One succeeded."""
        if self.failures:
            self.failures = 0
            self.claim_from = self.settle_from = -math.inf


class Contention:
    """Types that were left out of a claim because another worker was claiming of them. Pure, as :class:`Backoff`."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._since = math.inf

    def __bool__(self) -> bool:
        """Whether the last claim left any out."""
        return self._since < math.inf

    def met(self, now: float) -> float:
        """A claim left some out; when to look again."""
        self._since = min(self._since, now)
        first, most = CONTENDED_AGAIN
        return now + min(most, max(first, now - self._since)) * (0.5 + self._random())

    def over(self) -> None:
        """A claim left none out."""
        self._since = math.inf


def _doubled(limits: tuple[float, float], times: int) -> float:
    first, most = limits
    return min(most, math.ldexp(first, min(times, 32)))
