"""Critic: when a run counts as stalled, who is asked about it, and when it is ended whatever anybody says."""

import logging
import math
from inspect import isawaitable, isclass, iscoroutinefunction
from traceback import format_exception_only

import anyio

from longrun.cancellation import asked_for
from longrun.critic.decision import Decision
from longrun.critic.escalators import Escalator
from longrun.critic.info import RunInfo
from longrun.critic.watch import Watch
from longrun.durations import Duration, seconds
from longrun.errors import EscalatorError

_log = logging.getLogger("longrun.critic")

#: What a backstop that cannot be meant is raised to. It multiplies the whole running time, so one of 1 or less would
#: end a run before it is late, or as it becomes so, and nobody could ever be asked; 2 is the smallest whole multiple
#: above that, and leaves a late run as long again as it was expected to take.
BACKSTOP_FLOOR = 2.0


class Critic:
    """Watches the runs of the tasks that carry it; one critic may watch many. Durations are seconds or timedelta.

    A run is stalled when an attempt has taken *expected* seconds, or, with *idle*, has made no ``run.progress()`` for
    so long. Then, once per *tick*, *escalator* is asked what to do; it has *consult_timeout* seconds to answer. An
    attempt is ended *backstop* x *expected* seconds after its start unless it is extended, and never later than
    *ceiling* seconds after it. Waits between attempts do not count.

    A *backstop* of 1 or less, NaN or infinite is taken as 2. ValueError, naming the argument, for durations that are
    not finite and above 0, a *ceiling* not above *expected*, and an *escalator* that cannot be called or forget.
    """

    __slots__ = (
        "_asks", "_escalator", "_forget", "allowed", "backstop", "ceiling", "consult_timeout", "expected", "idle",
        "longest", "tick",
    )  # fmt: skip

    def __init__(
        self,
        escalator: Escalator,
        *,
        expected: Duration,
        idle: Duration | None = None,
        backstop: float = 2.0,
        ceiling: Duration | None = None,
        tick: Duration = 1.0,
        consult_timeout: Duration = 5.0,
    ) -> None:
        if isclass(escalator) or not callable(escalator):
            raise ValueError(f"Critic escalator is {escalator!r}; give an async callable, such as ExtendOnce(60)")
        forget = getattr(escalator, "forget", None)
        if forget is not None and (not callable(forget) or iscoroutinefunction(forget)):
            raise ValueError(f"Critic escalator has a forget that is {forget!r}; give a plain function of the run id")
        self._escalator = escalator
        self._forget = forget
        self._asks = str(getattr(escalator, "__qualname__", None) or repr(escalator))
        self.expected = seconds(expected, "Critic expected")
        self.idle = None if idle is None else seconds(idle, "Critic idle")
        self.backstop = _backstop(backstop, self.expected)
        self.ceiling = None if ceiling is None else seconds(ceiling, "Critic ceiling")
        self.tick = seconds(tick, "Critic tick")
        self.consult_timeout = seconds(consult_timeout, "Critic consult_timeout")
        if self.ceiling is not None and self.ceiling <= self.expected:
            raise ValueError(
                f"Critic ceiling is {self.ceiling:g} s and expected is {self.expected:g} s: no run would ever be late; "
                "give a ceiling above expected, or use the task's timeout"
            )
        #: Seconds that an attempt may take at most, and at first.
        self.longest = math.inf if self.ceiling is None else self.ceiling
        self.allowed = min(self.backstop * self.expected, self.longest)

    def watch(self, started: float) -> Watch:
        """A new watch over an attempt that began at *started* on the event loop's clock."""
        return Watch(self, started)

    async def consult(self, info: RunInfo) -> Decision | EscalatorError | None:
        """Ask the escalator about a run. What goes wrong with it - it raises, takes too long, answers nonsense - is
        returned as an :class:`EscalatorError`, never raised; it is for the caller to tell, once.

        Cancelling the caller goes through. An escalator that ignores its cancellation cannot be left behind from here:
        call this in a task of its own and do not wait for it. The watch stays in ``consulting`` then, asks nobody else,
        and its deadline counts as before.
        """
        answer: object = None
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + self.consult_timeout) as scope:
                asked: object = self._escalator(info)
                if not isawaitable(asked):
                    return self._nonsense(asked, " without being awaited; make it an async function")
                answer = await asked
        except anyio.get_cancelled_exc_class() as stray:
            if asked_for(stray):
                raise
            return self._failed("let a cancellation out that nobody had asked for", stray)
        except Exception as error:  # noqa: BLE001 - an escalator is foreign code: its failure must not end the run's watch
            return self._failed(f"raised {''.join(format_exception_only(error)).strip()}", error)
        if scope.cancel_called:
            return self._failed(f"did not answer within {self.consult_timeout:g} s", TimeoutError())
        if answer is None or isinstance(answer, Decision):
            return answer
        return self._nonsense(answer, "; it must return a Decision or None")

    def forget(self, run_id: str) -> None:
        """The run has ended, all its attempts: the escalator need not remember it. What that raises is logged."""
        if self._forget is None:
            return
        try:
            self._forget(run_id)
        except Exception:  # noqa: BLE001 - an escalator is foreign code; it is logged, the runner goes on
            _log.exception("escalator %s failed to forget run %s", self._asks, run_id)

    def describe(self) -> str:
        """One line for people: when a run is stalled, when it is ended, who is asked."""
        silent = f", or {self.idle:g} s without progress" if self.idle is not None else ""
        ceiling = f", extended to {self.ceiling:g} s at most" if self.ceiling is not None else ""
        return f"stalled after {self.expected:g} s{silent}; ended after {self.allowed:g} s{ceiling}; asks {self._asks}"

    def __repr__(self) -> str:
        return f"<Critic: {self.describe()}>"

    def _failed(self, what: str, cause: BaseException) -> EscalatorError:
        error = EscalatorError(f"escalator {self._asks} {what}; the run keeps its deadline")
        error.__cause__ = cause
        return error

    def _nonsense(self, answer: object, what: str) -> EscalatorError:
        return self._failed(f"returned a {type(answer).__name__}{what}", TypeError(type(answer).__name__))


def _backstop(value: float, expected: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"Critic backstop is {value!r}; give a number above 1, a multiple of expected")
    if BACKSTOP_FLOOR * expected == math.inf:
        raise ValueError(f"Critic expected is {expected:g} s: twice that is no number any more; give less")
    try:
        fits = value > 1 and value * expected < math.inf  # NaN is not
    except OverflowError:  # a whole number beyond any float
        fits = False
    return float(value) if fits else BACKSTOP_FLOOR
