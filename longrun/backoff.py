"""How long to wait before the next attempt: pure functions ``(attempt, previous, rng) -> seconds``.

*attempt* is 0 before the first retry; *previous* is the wait before this one (0.0 at first); *rng* is where chance
comes from. Every curve keeps ``0 <= delay <= cap`` for any attempt number. Near the cap jitter goes downward only:
clipping at the cap would put all callers back onto one instant just when most of them wait. Sources: full, equal and
decorrelated jitter are the AWS Architecture Blog's ("Exponential Backoff And Jitter"), decorrelated drawn below the
cap instead of clipped to it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import TypeAlias

from longrun.durations import Duration, seconds

#: Any callable of this shape is a backoff; the curves below also carry ``cap`` and ``jitter``.
Backoff: TypeAlias = Callable[[int, float, Random], float]

#: Share of jitter a wait hint gets when the backoff beside it does not say.
DEFAULT_JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Curve:
    """A named curve: ``curve(attempt, previous, rng)`` gives the wait in seconds, never above *cap*."""

    name: str
    cap: float
    jitter: float
    _delay: Callable[[int, float, Random], float] = field(repr=False, compare=False)

    def __call__(self, attempt: int, previous: float, rng: Random) -> float:
        return self._delay(attempt, previous, rng)

    def __str__(self) -> str:
        return self.name


def constant(seconds_: Duration, *, jitter: float = 0.0) -> Curve:
    """The same wait each time; with *jitter* spread by +- that share of it."""
    wait, share = seconds(seconds_, "backoff.constant seconds", zero=True), _share(jitter)
    high = wait * (1 + share)
    return Curve(f"constant {wait:g} s", high, share, lambda _attempt, _previous, rng: _spread(wait, share, high, rng))


def exponential(initial: Duration, cap: Duration, factor: float = 2.0, *, jitter: float = DEFAULT_JITTER) -> Curve:
    """initial, initial x factor, initial x factor^2, ... up to *cap*; +- *jitter* share, 0 makes the curve exact."""
    first, top = _range("exponential", initial, cap)
    share = _share(jitter)
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not (math.isfinite(factor) and factor >= 1):
        raise ValueError(f"backoff.exponential factor is {factor!r}; give a finite number of at least 1")
    # Past this index the power is not computed at all: it would overflow long before attempt 10**6.
    last = math.log(top / first) / math.log(factor) if factor > 1 else math.inf

    def delay(attempt: int, _previous: float, rng: Random) -> float:
        plain = top if attempt >= last else min(top, first * factor**attempt) if factor > 1 else first
        return _spread(plain, share, top, rng)

    return Curve(f"exponential {first:g} s x {factor:g} up to {top:g} s", top, share, delay)


def fibonacci(initial: Duration, cap: Duration, *, jitter: float = DEFAULT_JITTER) -> Curve:
    """initial x 1, 1, 2, 3, 5, 8, ... up to *cap*; +- *jitter* share."""
    first, top = _range("fibonacci", initial, cap)
    share = _share(jitter)
    steps = [first]
    following = first
    while steps[-1] < top:
        steps.append(min(top, following))
        following += steps[-2]

    def delay(attempt: int, _previous: float, rng: Random) -> float:
        return _spread(steps[min(attempt, len(steps) - 1)], share, top, rng)

    return Curve(f"fibonacci {first:g} s up to {top:g} s", top, share, delay)


def full_jitter(initial: Duration, cap: Duration) -> Curve:
    """Anything between 0 and the doubling curve: the widest spread, the least load on the other side."""
    plain = exponential(initial, cap, jitter=0.0)

    def delay(attempt: int, previous: float, rng: Random) -> float:
        return rng.random() * plain(attempt, previous, rng)

    return Curve(f"full jitter {plain.name}", plain.cap, 1.0, delay)


def equal_jitter(initial: Duration, cap: Duration) -> Curve:
    """Half of the doubling curve for certain, the other half by chance."""
    plain = exponential(initial, cap, jitter=0.0)

    def delay(attempt: int, previous: float, rng: Random) -> float:
        half = plain(attempt, previous, rng) / 2
        return half + half * rng.random()

    return Curve(f"equal jitter {plain.name}", plain.cap, 0.5, delay)


def decorrelated(initial: Duration, cap: Duration) -> Curve:
    """Between *initial* and three times the wait before, drawn below *cap*."""
    first, top = _range("decorrelated", initial, cap)

    def delay(_attempt: int, previous: float, rng: Random) -> float:
        return min(top, rng.uniform(first, min(top, 3 * max(previous, first))))

    return Curve(f"decorrelated {first:g} s up to {top:g} s", top, 1.0, delay)


def jitter_of(curve: Backoff) -> float:
    """The share by which waits beside *curve* are spread; a plain callable gets the default."""
    return curve.jitter if isinstance(curve, Curve) else DEFAULT_JITTER


def _spread(plain: float, share: float, cap: float, rng: Random) -> float:
    if not share:
        return plain
    return min(cap, rng.uniform(plain * (1 - share), min(cap, plain * (1 + share))))


def _range(name: str, initial: Duration, cap: Duration) -> tuple[float, float]:
    first, top = seconds(initial, f"backoff.{name} initial"), seconds(cap, f"backoff.{name} cap")
    if top < first:
        raise ValueError(f"backoff.{name} cap is {top:g} s, below its initial wait of {first:g} s; swap or raise it")
    return first, top


def _share(jitter: float) -> float:
    if isinstance(jitter, bool) or not isinstance(jitter, int | float) or not 0 <= jitter <= 1:
        raise ValueError(f"backoff jitter is {jitter!r}; give a share between 0 and 1, for example 0.1 for +- 10 %")
    return float(jitter)


#: What a retry rule uses when it is given no backoff.
DEFAULT = exponential(1, 30)
