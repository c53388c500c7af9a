"""Pacing and the limit gate of one token, shared by everything that calls with it."""

import math
from collections.abc import Awaitable, Callable

import anyio

from domain.github.errors import RateLimited


class Throttle:
    """Starts at most one call every *min_interval* seconds, and none while the forge has asked for calm.

    Callers are served in order of arrival, and wait **before** their request's own timeout begins. A caller that is
    cancelled gives up its place and costs no turn. After :meth:`hold` every caller gets the same RateLimited at once,
    with what is left of the wait and without a request, until the wait is over.
    """

    def __init__(
        self,
        min_interval: float = 1.0,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        if not math.isfinite(min_interval) or min_interval < 0:
            raise ValueError(f"min_interval is {min_interval!r}; give seconds, 0 for no pacing")
        self._interval = min_interval
        self._clock = clock or anyio.current_time
        self._sleep = sleep
        self._turn = anyio.Lock()
        self._next = -math.inf
        self._held_until = -math.inf
        self._reason = ""

    async def turn(self) -> None:
        """Return when it is this caller's turn. Raises RateLimited while the gate is closed."""
        self._check()
        async with self._turn:
            self._check()
            while (wait := self._next - self._clock()) > 0:
                await self._sleep(wait)
            self._check()
            self._next = self._clock() + self._interval

    def hold(self, limit: RateLimited) -> None:
        """Close the gate for the wait that *limit* names; a limit without one closes nothing. The longest holds."""
        if limit.retry_after is None:
            return
        until = self._clock() + limit.retry_after
        if until > self._held_until:
            self._held_until, self._reason = until, str(limit)

    def _check(self) -> None:
        left = self._held_until - self._clock()
        if left > 0:
            raise RateLimited(f"not asked: {self._reason}; {left:.1f} s left", left)
