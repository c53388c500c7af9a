"""The option ``circuit.breaker``, and what it puts around each call."""

import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, TypeVar

from longrun.chain import leaves
from longrun.circuit.circuit import Circuit
from longrun.circuit.circuits import Circuits
from longrun.circuit.directory import circuits_of
from longrun.circuit.events import CircuitRejected, event_of
from longrun.circuit.settings import Settings
from longrun.circuit.values import Answer, Change
from longrun.clock import now
from longrun.errors import CircuitOpen, PipelineError, Rejected
from longrun.events import emit
from longrun.matching import Matcher
from longrun.option import Layer, Site, Wrapper

_log = logging.getLogger("longrun.circuit")

T = TypeVar("T")


class BreakerOption(Layer):
    """The option that ``circuit.breaker`` makes."""

    __slots__ = ("name", "settings")

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.settings = settings
        circuits_of(name, settings)  # settings that contradict are refused here, at the line that wrote them

    def build(self, site: Site) -> Wrapper:
        circuits = circuits_of(self.name, self.settings)
        breaker = KeyedBreaker(circuits, site) if circuits.keyed else Breaker(circuits.of(None), self.settings, site)
        if site.listeners:
            circuits.listen(breaker)
        return breaker

    def describe(self) -> str:
        return _words(self.name, self.settings)


class Breaker:
    """One circuit around the calls of one pipeline."""

    __slots__ = ("__weakref__", "_circuit", "_settings", "_slow", "site")

    def __init__(self, circuit: Circuit, settings: Settings, site: Site) -> None:
        self._circuit = circuit
        self._settings = settings
        self._slow = settings.slow_call
        self.site = site

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        circuit, slow = self._circuit, self._slow
        generation = circuit.free or self._enter()
        started = 0.0 if slow is None else now()
        try:
            value = await call()
        except Exception as error:
            self._failed(error, generation, started)
            raise
        except BaseException:  # a cancellation, or an exit: it says nothing about the other side
            circuit.release(generation)
            raise
        instant = now()
        change = circuit.report(generation, instant, False, slow is not None and instant - started >= slow)
        if change is not None:
            self._tell(change)
        return value

    def describe(self) -> str:
        return _words(self._circuit.name, self._settings)

    def __repr__(self) -> str:
        return repr(self._circuit)

    def _enter(self) -> int:
        answer = self._circuit.admit(now())
        if answer.change is not None:
            self._tell(answer.change)
        if not answer.generation:
            raise self._refusal(answer)
        return answer.generation

    def _failed(self, error: Exception, generation: int, started: float) -> None:
        if not counts(error, self._settings.matcher):
            self._circuit.release(generation)
            return
        instant = now()
        slow = self._slow is not None and instant - started >= self._slow
        change = self._circuit.report(generation, instant, True, slow)
        if change is not None:
            self._tell(change)

    def _refusal(self, answer: Answer) -> CircuitOpen:
        circuit, site = self._circuit, self.site
        key = "" if circuit.key is None else f" for key {circuit.key!r}"
        if site.listeners:
            told = CircuitRejected(site.name, circuit.name, circuit.key, circuit.state, answer.retry_after)
            emit(site.listeners, told)
        if answer.retry_after is None:
            when = "an operator opened it; reset it to let calls run"
        elif answer.retry_after > 0:
            when = f"{circuit.reason}; the next probe may run in {answer.retry_after:.3g} s"
        else:
            when = "it is being probed; call again soon"
        return CircuitOpen(f"circuit {circuit.name!r}{key} is open: {when}", answer.retry_after)

    def _tell(self, change: Change) -> None:
        if self.site.listeners:
            emit(self.site.listeners, event_of(change, self.site.name, self._circuit.name))


class KeyedBreaker:
    """A circuit for each key around the calls of one pipeline; the key is made of the arguments of the call."""

    __slots__ = ("__weakref__", "_circuits", "site")

    def __init__(self, circuits: Circuits, site: Site) -> None:
        self._circuits = circuits
        self.site = site

    def select(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Wrapper:
        """The breaker for a call with these arguments; PipelineError for a key that cannot be one."""
        circuits = self._circuits
        assert circuits.settings.key is not None
        key: Hashable = circuits.settings.key(*args, **kwargs)
        try:
            circuit = circuits.of(key)
        except TypeError as error:
            raise PipelineError(
                f"circuit.breaker {circuits.name!r}: key made {key!r} of the call's arguments ({error}); "
                "make a text, a number or a tuple of these"
            ) from None
        return Breaker(circuit, circuits.settings, self.site)

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        return await self.select((), {})(call)

    def describe(self) -> str:
        return f"{_words(self._circuits.name, self._circuits.settings)}, one for each key"


def counts(error: Exception, matcher: Matcher) -> bool:
    """Whether *error* is a failure of the other side: of a group, whether any leaf is.

    A rejected call never ran, so it says nothing. A predicate that raises is logged, and the error counts.
    """
    if isinstance(error, Rejected):
        return False
    try:
        if not isinstance(error, BaseExceptionGroup):
            return matcher.matches(error)
        return matcher.matches_whole(error) or any(
            not isinstance(leaf, Rejected) and matcher.matches(leaf) for leaf in leaves(error)
        )
    except Exception:  # noqa: BLE001 - the predicate is foreign code; it must not take the place of the failure
        _log.exception("judging %s failed; it counts as a failure", type(error).__name__)
        return True


def _words(name: str, settings: Settings) -> str:
    return f"circuit {name!r}: {settings.words()}"
