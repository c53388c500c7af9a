"""The grid of an interval task: when the next run is due, and how many points were passed over. Pure."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Next:
    """The next run is due at *due*; *skipped* points of the grid passed unused."""

    due: float
    skipped: int = 0


#: Floating point puts a grid point a hair before or behind the instant that it means.
_EPSILON = 1e-6


def next_on_grid(anchor: float, interval: float, due: float, now: float, *, catch_up: bool) -> Next:
    """After the run of the point *due* ended at *now*: the following point of the grid ``anchor + k x interval``.

    Points that passed meanwhile are skipped; with *catch_up* one of them is made good at once, the rest are skipped.
    """
    served = math.floor((due - anchor) / interval + _EPSILON)
    passed = math.floor((now - anchor) / interval + _EPSILON)
    if passed <= served:
        return Next(anchor + (served + 1) * interval)
    missed = passed - served
    if catch_up:
        return Next(now, missed - 1)
    return Next(anchor + (passed + 1) * interval, missed)


def next_after(interval: float, now: float) -> Next:
    """With a fixed delay the next run is *interval* after the end of this one."""
    return Next(now + interval)
