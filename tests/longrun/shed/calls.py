"""Calls through a limiter by itself, with time and chance as arguments."""

from longrun.shed.gradient import Bounds
from longrun.shed.limiter import Change, Limiter

WIDE = Bounds(1, 200)
CRITICAL = 3


def never() -> float:
    """Chance that always falls on its least."""
    return 0.0


def made(initial: int = 20, bounds: Bounds = WIDE) -> Limiter:
    return Limiter(initial, bounds)


def begin(one: Limiter, at: float, calls: int) -> list[int]:
    """So many critical calls, all of which are let in."""
    tickets = [one.admit(at, CRITICAL) for _ in range(calls)]
    assert 0 not in tickets
    return tickets


def window(one: Limiter, at: float, takes: float = 1.0, *, beside: int | None = None) -> Change | None:
    """All that is left of the limit in use (or *beside* calls): ten calls end, the others are cancelled."""
    tickets = begin(one, at, one.statistics().limit - one.in_flight if beside is None else beside)
    ended, cancelled = tickets[-10:], tickets[:-10]
    for ticket in cancelled:
        one.release(at, ticket)
    changes = [one.finish(at, at + takes, ticket, never) for ticket in reversed(ended)]
    assert changes[:-1] == [None] * (len(ended) - 1)
    return changes[-1]
