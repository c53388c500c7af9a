"""Race: one call and its copies. The first acceptable answer wins; who fails makes way for the next.

The call itself, copy 1, runs in the caller's own task, as without a hedge. The others are children of a task group that
ends with the race: the answer comes out when the last loser has ended. A loser is cancelled for good, every further
await in it raises at once, so it can hold the answer up only for as long as it shields itself. One that does so for
longer than the grace is told; nothing is ever left running behind the call.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from longrun import deadline
from longrun.ambient import with_ambient
from longrun.capabilities import longest_hint
from longrun.chain import leaves
from longrun.clock import now
from longrun.errors import Rejected
from longrun.events import Event, emit
from longrun.failure.classify import permanent_veto
from longrun.hedge.backend import lanes
from longrun.hedge.events import HedgeLoserLingers, HedgeStarted, HedgeSuppressed, HedgeWon
from longrun.hedge.settings import Settings
from longrun.option import Site

T = TypeVar("T")

_log = logging.getLogger("longrun.hedge")

#: Seconds for giving away all the answers of one race that nobody gets.
DISCARD_GRACE = 1.0

_PRIMARY = 1
_NOTE = "hedge: "


class Race(Generic[T]):
    """``await run()`` once. ``latency`` is then what the call itself is known to have taken, None if nothing is.

    When another copy won, that is the time until then: the call itself would have taken at least as long. Without
    these samples the quantile would only know the fast calls, and fall.
    """

    __slots__ = (
        "_answers",
        "_begun",
        "_call",
        "_delay",
        "_failures",
        "_fatal",
        "_lanes",
        "_left",
        "_numbers",
        "_over",
        "_over_at",
        "_running",
        "_settings",
        "_site",
        "_winner",
        "latency",
    )

    def __init__(self, call: Callable[[], Awaitable[T]], delay: float, settings: Settings, site: Site) -> None:
        self._call = call
        self._delay = delay
        self._settings = settings
        self._site = site
        self._left = settings.extra
        self._numbers = _PRIMARY
        self._running = {_PRIMARY}
        self._answers: dict[int, T] = {}
        self._failures: dict[int, Exception] = {}
        self._fatal: BaseException | None = None
        self._winner = 0
        self._over = False
        self._over_at = 0.0
        self.latency: float | None = None

    async def run(self) -> T:
        """The first acceptable answer; else what came of the call itself."""
        self._begun = now()
        self._lanes = opened = lanes()
        try:
            async with opened:
                opened.arm(self._delay, self._next_is_slow)
                try:
                    answer = await self._call()
                except Exception as error:  # noqa: BLE001 - it is kept, and comes out if no copy answers
                    self._failed(_PRIMARY, error)
                except GeneratorExit:
                    raise
                except BaseException as error:
                    if not _cancelled(error):
                        self._end_with(error)
                    elif isinstance(error, BaseExceptionGroup) and self._over:
                        # A loser whose clean-up failed while it was cancelled: the race has its outcome already.
                        _log.warning("copy 1 of %s failed while it was cancelled: %r", self._site.name, error)
                        await checkpoint_if_cancelled()
                    else:
                        raise
                else:
                    if self._numbers > _PRIMARY or self._settings.accept is not None:
                        self._answered(_PRIMARY, answer)
                    else:  # nobody was late: there is nothing to judge, and nobody to cancel
                        self._answers[_PRIMARY] = answer
                        if self._settings.quantile is not None:
                            self.latency = now() - self._begun
                        return answer
                finally:
                    self._ended(_PRIMARY)
        except BaseException:
            if self._answers:
                await self._discard()
            raise
        if self._numbers == _PRIMARY and self._winner:
            return self._answers[_PRIMARY]
        return await self._conclude()

    async def _extra(self, number: int, reason: str) -> None:
        """A child's life: nothing it does fails the group."""
        try:
            await checkpoint_if_cancelled()
            if self._over:
                return
            if not self._may_start(number, reason):
                if len(self._running) > 1:
                    self._arm()
                return
            self._arm()
            try:
                answer = await self._call()
            except Exception as error:  # noqa: BLE001 - it is kept, and told on the error that comes out
                self._failed(number, error)
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - an exit is kept and comes out by itself, not in a group
                if not _cancelled(error):
                    self._end_with(error)
                    return
                await checkpoint_if_cancelled()  # a real cancellation comes again, a stray one does not
                _log.warning("copy %d of %s let a cancellation out that nobody asked for", number, self._site.name)
            else:
                self._answered(number, answer)
        finally:
            self._ended(number)

    # What happens to a copy

    def _answered(self, number: int, answer: T) -> None:
        self._answers[number] = answer
        if self._over:
            return
        accept = self._settings.accept
        if accept is not None:
            try:
                accepted = accept(answer)
            except Exception as error:  # noqa: BLE001 - foreign code: an answer that cannot be judged is not accepted
                self._failed(number, error)
                return
            if not accepted:
                self._make_way()
                return
        self._winner = number
        self._end()
        if number == _PRIMARY or (_PRIMARY not in self._failures and _PRIMARY not in self._answers):
            self.latency = self._over_at - self._begun

    def _failed(self, number: int, error: Exception) -> None:
        if self._over:
            return
        self._failures[number] = error
        if self._is_fatal(error):
            self._end_with(error)
        elif any(isinstance(leaf, Rejected) for leaf in leaves(error)) or longest_hint((error, *leaves(error))):
            self._left = 0  # the other side, or what protects it, wants to be left alone
            self._lanes.disarm()
        else:
            self._make_way()

    def _is_fatal(self, error: Exception) -> bool:
        try:
            if permanent_veto(error) is not None:
                return True
            fatal = self._settings.fatal
            if fatal is None:
                return False
            return fatal.matches_whole(error) or any(fatal.matches(leaf) for leaf in leaves(error))
        except Exception:  # noqa: BLE001 - a predicate is foreign code; it must not take the place of the failure
            _log.exception("judging %s failed; the race ends with it", type(error).__name__)
            return True

    # Who is next

    def _arm(self) -> None:
        if self._left:
            self._lanes.arm(self._delay, self._next_is_slow)

    def _next_is_slow(self) -> None:
        """The timer rings."""
        if self._left and not self._over:
            self._launch("slow")

    def _make_way(self) -> None:
        """A copy has failed: the next one starts at once."""
        if self._left:
            self._launch("failed")

    def _launch(self, reason: str) -> None:
        self._lanes.disarm()
        self._left -= 1
        self._numbers += 1
        self._running.add(self._numbers)
        self._lanes.spawn(self._extra, self._numbers, reason)

    def _may_start(self, number: int, reason: str) -> bool:
        """Whether time and budget allow the copy; it is told either way."""
        site = self._site
        if deadline.left() <= 0:
            refused = "deadline"
        elif site.budget is not None and not site.budget.spend():
            refused = "budget"
        else:
            self._tell(HedgeStarted(site.name, number, now() - self._begun, reason))
            return True
        self._tell(HedgeSuppressed(site.name, number, now() - self._begun, refused))
        return False

    def _tell(self, event: Event) -> None:
        listeners = with_ambient(self._site.listeners)
        if listeners:
            emit(listeners, event)

    def _ended(self, number: int) -> None:
        """Copy *number* runs no more; behind the last one nothing is waited for."""
        self._running.discard(number)
        if not self._running:
            self._lanes.disarm()

    # How it ends

    def _end_with(self, error: BaseException) -> None:
        self._fatal = error
        if not self._over:
            self._end()

    def _end(self) -> None:
        """A copy, which counts as running still, has decided the race."""
        self._over = True
        self._over_at = now()
        if len(self._running) > 1:
            self._lanes.cancel(self._settings.grace, self._losers_linger)

    def _losers_linger(self) -> None:
        """The grace is over."""
        waited = now() - self._over_at
        name = self._site.name
        for number in sorted(self._running):
            self._tell(HedgeLoserLingers(name, number, waited))
            _log.warning(
                "copy %d of %s still runs %.3g s after it was cancelled, and the outcome waits for it; "
                "it shields itself, or swallows its cancellation: put a deadline on that",
                number,
                name,
                waited,
            )

    async def _conclude(self) -> T:
        """The outcome of a race of several copies, or of one that failed."""
        if self._winner and self._fatal is None:
            self._tell(HedgeWon(self._site.name, self._winner, self._over_at - self._begun, now() - self._over_at))
            return await self._give(self._winner)
        if self._fatal is None and _PRIMARY in self._answers and _PRIMARY not in self._failures:
            return await self._give(_PRIMARY)
        error = self._fatal if self._fatal is not None else self._failures[_PRIMARY]
        _note(error, self._failures)
        if self._answers:
            await self._discard()
        raise error

    async def _give(self, number: int) -> T:
        answer = self._answers.pop(number)
        if self._answers:
            await self._discard()
        return answer

    async def _discard(self) -> None:
        """Give away the answers that nobody gets."""
        answers = list(self._answers.values())
        self._answers.clear()
        discard = self._settings.discard
        if discard is None:
            return
        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + DISCARD_GRACE) as grace:
            for answer in answers:
                try:
                    given = discard(answer)
                    if inspect.isawaitable(given):
                        await given
                except Exception:  # noqa: BLE001 - foreign code; the answer that won comes out all the same
                    _log.exception("discarding an answer of %s failed", self._site.name)
        if grace.cancelled_caught:
            _log.warning("discarding answers of %s took longer than %g s", self._site.name, DISCARD_GRACE)


def _cancelled(error: BaseException) -> bool:
    kind = anyio.get_cancelled_exc_class()
    return any(isinstance(leaf, kind) for leaf in leaves(error))


def _note(error: BaseException, failures: dict[int, Exception]) -> None:
    """Say on *error* what came of the other copies; an error raised again carries the newest race only."""
    notes = [
        f"{_NOTE}copy {number} failed too: {other!r}"
        for number, other in sorted(failures.items())
        if other is not error
    ]
    try:
        kept = [text for text in getattr(error, "__notes__", ()) if not str(text).startswith(_NOTE)]
        if kept or notes:
            error.__notes__ = [*kept, *notes]
    except (AttributeError, TypeError):
        return  # an error type that refuses attributes goes out as it is
