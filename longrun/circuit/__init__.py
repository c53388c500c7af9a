"""circuit.breaker: calls that would fail anyway are refused at once, until probes say that the other side is back.

States, steps and the one table: :mod:`longrun.circuit.states`. The window: :mod:`longrun.circuit.window`. The machine:
:mod:`longrun.circuit.circuit`. Around the call: :mod:`longrun.circuit.breaker`.
"""

from longrun.circuit.breaker import BreakerOption
from longrun.circuit.directory import disable, force_open, metrics_only, names, overview, reset, statistics
from longrun.circuit.events import (
    CircuitBypassed,
    CircuitClosed,
    CircuitEvent,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitRejected,
)
from longrun.circuit.settings import GROWTH_LIMIT, Key, Settings, duration
from longrun.circuit.states import State
from longrun.circuit.values import Statistics
from longrun.durations import Duration
from longrun.errors import PipelineError
from longrun.matching import Errors

__all__ = [
    "CircuitBypassed",
    "CircuitClosed",
    "CircuitEvent",
    "CircuitHalfOpened",
    "CircuitOpened",
    "CircuitRejected",
    "State",
    "Statistics",
    "breaker",
    "disable",
    "force_open",
    "metrics_only",
    "names",
    "overview",
    "reset",
    "statistics",
]

_RATE_MODE = {"failure_rate": 0.5, "minimum": 10, "window": 30.0, "slow_rate": 1.0}


def breaker(
    name: str,
    *,
    threshold: int | None = None,
    failure_rate: float = 0.5,
    minimum: int = 10,
    window: Duration = 30.0,
    open_for: Duration = 30.0,
    probes: int = 1,
    slow_call: Duration | None = None,
    on: Errors = Exception,
    key: Key | None = None,
    slow_rate: float = 1.0,
    successes: int | None = None,
    ramp: Duration | None = None,
    growth: float = 2.0,
    open_cap: Duration | None = None,
    jitter: float = 0.0,
    max_keys: int = 10_000,
) -> BreakerOption:
    """Refuse calls with :class:`longrun.CircuitOpen` while what they call is failing. Seconds, or timedelta.

    The same *name* with the same settings is the same circuit in the whole process; with others a PipelineError.

    Opens when *failure_rate* of at least *minimum* calls within *window* failed, or, with *threshold*, after so many
    failures in a row. *slow_call*: calls that take so long are slow, and a *slow_rate* share of them opens it too; with
    *threshold* a slow call is a failure. *on* says what a failure is, as in ``retry.on``; other errors count neither
    way, and cancellation and :class:`longrun.Rejected` never do.

    After *open_for* seconds up to *probes* calls at a time may try. *successes* of them (default: *probes*) close it,
    one failure opens it again, each time in a row *growth* times longer up to *open_cap* (default: 10 x *open_for*),
    spread by +- *jitter* share. With *ramp* the probes are followed by so many seconds in which a growing share of the
    calls runs, judged as if closed.

    *key*: a function of the call's arguments; each key has a circuit of its own, the *max_keys* used last are kept.
    """
    rate_mode = {"failure_rate": failure_rate, "minimum": minimum, "window": window, "slow_rate": slow_rate}
    idle = [word for word, value in rate_mode.items() if value != _RATE_MODE[word]]
    if threshold is not None and idle:
        raise PipelineError(
            f"circuit.breaker {name!r} counts failures in a row (threshold={threshold!r}), where {', '.join(idle)} "
            "mean nothing; leave them out, or leave out threshold"
        )
    opened = duration("open_for", open_for)
    settings = Settings(
        threshold=threshold,
        failure_rate=failure_rate,
        minimum=minimum,
        window=duration("window", window),
        open_for=opened,
        open_cap=opened * GROWTH_LIMIT if open_cap is None else duration("open_cap", open_cap),
        growth=growth,
        jitter=jitter,
        probes=probes,
        successes=probes if successes is None else successes,
        ramp=None if ramp is None else duration("ramp", ramp),
        slow_call=None if slow_call is None else duration("slow_call", slow_call),
        slow_rate=slow_rate,
        max_keys=max_keys,
        on=on,
        key=key,
    )
    return BreakerOption(name, settings)
