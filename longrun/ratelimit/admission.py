"""Admission: the rate limit around one pipeline's calls."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from longrun.clock import now
from longrun.errors import RateLimited
from longrun.events import emit
from longrun.option import Site
from longrun.ratelimit.events import RateLimitRejected, RateLimitWaited
from longrun.ratelimit.line import Line
from longrun.waiter import Waiter, time_to_wait

T = TypeVar("T")


class Admission:
    """A call starts when it has a token, at once when there is one; else it waits in line or is refused."""

    __slots__ = ("_line", "_name", "_site", "_words")

    def __init__(self, line: Line[Waiter], name: str | None, site: Site, words: str) -> None:
        self._line = line
        self._name = name
        self._site = site
        self._words = words

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        if not self._line.take(now()):
            await self._wait()
        return await call()

    async def _wait(self) -> None:
        """Return with a token, or raise without one."""
        waiter, began, left = Waiter(), now(), time_to_wait()
        turn = self._line.join(waiter, began, left)
        if turn.answer == "admitted":
            return
        if turn.answer == "full":
            raise self._refused(f"no token is left and {turn.before} calls wait, as many as may", turn.wait)
        if turn.answer == "late":
            raise self._late(turn.wait, left)
        try:
            if turn.before and not await waiter.wait():
                raise self._late(max(0.0, turn.wait - (now() - began)), time_to_wait())
            await self._lead(waiter)
        except BaseException as error:
            # It has taken no token; all behind it move up.
            follow(self._line, self._line.withdraw(waiter))
            if not isinstance(error, Exception) and error.__cause__ is None:
                # Who cancels learns what it was that took so long; a time limit above makes it the cause of its error.
                error.__cause__ = self._limited(f"no token came in {now() - began:.3g} s", None)
            raise
        if self._site.listeners:
            emit(self._site.listeners, RateLimitWaited(self._site.name, self._name, now() - began))

    async def _lead(self, waiter: Waiter) -> None:
        """Wait for the token at the head of the line, and take it."""
        while True:
            wait, following = self._line.claim(waiter, now())
            if not wait:
                follow(self._line, following)
                return
            left = time_to_wait()
            if wait >= left:
                raise self._late(wait, left)
            await anyio.sleep(wait)

    def _late(self, wait: float, left: float) -> RateLimited:
        return self._refused(f"the next token comes in {wait:.3g} s, the deadline in {left:.3g} s", wait)

    def _refused(self, reason: str, wait: float) -> RateLimited:
        if self._site.listeners:
            emit(self._site.listeners, RateLimitRejected(self._site.name, self._name, reason, wait))
        return self._limited(reason, wait)

    def _limited(self, reason: str, wait: float | None) -> RateLimited:
        owner = f"rate limit {self._name!r}" if self._name is not None else f"the rate limit of {self._site.name!r}"
        return RateLimited(f"{owner}: {reason}; call less often, or give it more time", wait)

    def describe(self) -> str:
        return self._words


def follow(line: Line[Waiter], head: Waiter | None) -> None:
    """Wake *head*, who has become the head of the line; one whose event loop is closed makes way for the next."""
    while head is not None:
        try:
            head.wake()
        except RuntimeError:
            head = line.withdraw(head)
        else:
            return
