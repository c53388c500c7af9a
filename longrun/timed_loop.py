"""TimedLoop: a retry loop and the time limit directly below it, in one cancel scope.

To make and leave a scope is most of what a limited attempt costs, so one scope serves all attempts of a call: its
deadline is moved before each, and lifted while nothing is tried. What is seen from outside is as if there were two
layers.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import anyio

from longrun import attempt
from longrun.clock import now
from longrun.errors import TimeoutExceeded
from longrun.loop import Loop, Tries
from longrun.matching import Unwanted
from longrun.timeout import After

T = TypeVar("T")


class TimedLoop(Loop):
    """*loop* with *limit* for each of its attempts."""

    __slots__ = ("_limit", "seconds")

    def __init__(self, loop: Loop, limit: After) -> None:
        super().__init__(loop.parts, loop.site)
        self._limit = limit
        self.seconds = limit.seconds

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:  # noqa: C901 - one frame: another costs 0.1 us
        tries = None if self._plain else Tries(self)
        while True:  # once for each scope: one that has expired cannot be used again
            failure: Exception | None = None
            cause: BaseException | None = None
            cut = False
            mark, started = attempt.kept, 0.0
            try:
                with anyio.move_on_after(self.seconds) as scope:
                    while True:
                        started = now() if tries is None else tries.begin()
                        try:
                            value = await call()
                        except Exception as error:
                            if scope.cancel_called:  # it failed at the very instant of the limit
                                failure = error
                                break
                            tries = tries or Tries(self)
                            wait = tries.judge(error, started, mark, scope)
                            if wait is None:
                                raise
                            if wait:
                                await tries.rest(wait, error)
                        except BaseException as cancelled:
                            cut, cause = True, cancelled.__cause__  # a retry below leaves the last real error there
                            raise
                        else:
                            if not (self.predicates and self._unwanted(value)):
                                if tries is not None:
                                    tries.succeeded(started)
                                return value
                            failure = Unwanted(value)
                            break
                        mark = attempt.kept
                        scope.deadline = anyio.current_time() + self.seconds
            except BaseException as gone:
                cause = None  # see below
                if cut and tries is not None:
                    tries.cancelled(gone, started)
                raise
            tries = tries or Tries(self)
            if failure is None:
                failure = TimeoutExceeded(self.seconds)
                failure.__cause__ = cause
            try:
                wait = tries.judge(failure, started, mark)
                if wait is None:
                    if isinstance(failure, Unwanted):
                        return cast("T", failure.value)
                    raise failure
                if wait:
                    await tries.rest(wait, failure)
            finally:  # both refer by their traceback to this frame: left here, only the collector would free them
                failure = cause = None

    def describe(self) -> str:
        return f"{super().describe()}\n{self._limit.describe()}"
