"""The grid of an interval task: when the next run is due, and how many points were passed over. Pure."""

import math
from typing import NamedTuple


class Next(NamedTuple):
    """The next run is due at *due*; *skipped* points of the grid passed unused."""

    due: float
    skipped: int = 0


#: Seconds by which floating point may put a grid point before or behind the instant that it means. Not a share of the
#: interval: of a day that would be a tenth of a second, and a run that ends just before its next point would lose it.
_EPSILON = 1e-6


def next_on_grid(anchor: float, interval: float, due: float, now: float, *, catch_up: bool) -> Next:
    """After the run of the point *due* ended at *now*: the following point of the grid ``anchor + k x interval``.

    Points that passed meanwhile are skipped; with *catch_up* one of them is made good at once, the rest are skipped.
    """
    served = math.floor((due - anchor + _EPSILON) / interval)
    passed = math.floor((now - anchor + _EPSILON) / interval)
    if passed <= served:
        return Next(anchor + (served + 1) * interval)
    missed = passed - served
    if catch_up:
        return Next(now, missed - 1)
    return Next(anchor + (passed + 1) * interval, missed)


def next_after(interval: float, now: float) -> Next:
    """With a fixed delay the next run is *interval* after the end of this one."""
    return Next(now + interval)
