"""What a circuit breaker is told: a frozen value that has been checked."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from types import FunctionType
from typing import TypeAlias

from longrun.backoff import Backoff, exponential
from longrun.durations import Duration, seconds
from longrun.errors import PipelineError
from longrun.matching import Errors, Matcher

#: Says which circuit a call belongs to, from the arguments of the call.
Key: TypeAlias = Callable[..., Hashable]

#: The open time grows up to this many times its first value, where no cap is given.
GROWTH_LIMIT = 10

#: A shorter window could not be divided into buckets that a clock can tell apart.
SHORTEST_WINDOW = 0.001


@dataclass(frozen=True, slots=True)
class Settings:
    """The keywords of ``circuit.breaker``. Equal settings under one name are one circuit.

    Functions are equal when they come from the same piece of code and have the same values bound, so that a lambda
    written inside a function that runs often is one function. PipelineError for a value that cannot be meant.
    """

    threshold: int | None
    failure_rate: float
    minimum: int
    window: float
    open_for: float
    open_cap: float
    growth: float
    jitter: float
    probes: int
    successes: int
    ramp: float | None
    slow_call: float | None
    slow_rate: float
    max_keys: int
    on: Errors = field(compare=False)
    key: Key | None = field(compare=False)
    matcher: Matcher = field(init=False, repr=False, compare=False)
    _functions: tuple[object, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _whole("minimum", self.minimum)
        _whole("probes", self.probes)
        _whole("successes", self.successes)
        _whole("max_keys", self.max_keys)
        _share("failure_rate", self.failure_rate)
        _share("slow_rate", self.slow_rate)
        if self.threshold is not None:
            _whole("threshold", self.threshold)
        if self.successes < self.probes:
            raise PipelineError(
                f"circuit.breaker successes is {self.successes}, below probes {self.probes}: the circuit would close "
                "before the last probe; raise successes or let fewer probes in"
            )
        if self.slow_call is None and self.slow_rate != 1.0:
            raise PipelineError(f"circuit.breaker slow_rate is {self.slow_rate!r} without slow_call; say what is slow")
        if self.window < SHORTEST_WINDOW:
            raise PipelineError(f"circuit.breaker window is {self.window!r} s; give at least {SHORTEST_WINDOW} s")
        if self.key is not None and not callable(self.key):
            raise PipelineError(f"circuit.breaker key is {self.key!r}; give a function of the call's arguments")
        self.open_times()
        object.__setattr__(self, "matcher", _matcher(self.on))
        object.__setattr__(self, "_functions", (_identity(self.on), _identity(self.key)))

    def open_times(self) -> Backoff:
        """How long the circuit stays open the first, second, ... time in a row."""
        try:
            return exponential(self.open_for, self.open_cap, self.growth, jitter=self.jitter)
        except ValueError as error:
            raise PipelineError(
                f"circuit.breaker open_for={self.open_for!r}, open_cap={self.open_cap!r}, growth={self.growth!r}, "
                f"jitter={self.jitter!r} make no row of open times: {error}"
            ) from None

    def __str__(self) -> str:
        named = ", ".join(f"{name}={getattr(self, name)!r}" for name in _WORDS if getattr(self, name) is not None)
        return f"({named}, on={self.matcher.description})"

    def words(self) -> str:
        """When the circuit opens, and for how long, as one line."""
        if self.threshold is not None:
            when = f"{self.threshold} failures in a row"
        else:
            when = f"{self.failure_rate:.0%} failures of at least {self.minimum} calls in {self.window:g} s"
        slow = f", slow from {self.slow_call:g} s" if self.slow_call is not None else ""
        kinds = "" if self.matcher.catches_all else f" ({self.matcher.description})"
        return f"opens at {when}{kinds}{slow}, for {self.open_for:g} s"


_WORDS = (
    "threshold", "failure_rate", "minimum", "window", "open_for", "open_cap", "growth", "jitter", "probes", "successes",
    "ramp", "slow_call", "slow_rate", "max_keys", "key",
)  # fmt: skip


def duration(name: str, value: Duration) -> float:
    """*value* of the keyword *name* as seconds."""
    try:
        return seconds(value, f"circuit.breaker {name}")
    except ValueError as error:
        raise PipelineError(str(error)) from None


def _whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PipelineError(f"circuit.breaker {name} is {value!r}; give a whole number of at least 1")


def _share(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise PipelineError(f"circuit.breaker {name} is {value!r}; give a share above 0 and up to 1, for example 0.5")


def _matcher(on: Errors) -> Matcher:
    try:
        return Matcher(on)
    except PipelineError:
        raise PipelineError(
            f"circuit.breaker on is {on!r}; give exception classes, an exception, a predicate or a tuple of at least "
            "one of these; cancellation and exit are never counted"
        ) from None


def _identity(thing: object) -> object:
    """*thing*, and for functions what makes two of them the same."""
    if isinstance(thing, tuple):
        return tuple(_identity(member) for member in thing)
    if isinstance(thing, FunctionType):
        try:
            bound = tuple(cell.cell_contents for cell in thing.__closure__ or ())
        except ValueError:  # a name that the function uses is not bound yet
            return thing
        return (thing.__code__, thing.__defaults__, thing.__kwdefaults__, bound)
    return thing
