"""Fires that passed while nobody looked: which of them are made up, and when the next one is. Pure functions.

A fire is never run twice here and never forgotten by accident: of the fires up to *now* the latest ones are made up,
as many as the policy allows, and the next fire lies after *now*.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Literal, TypeAlias

from orchestrator.cron.errors import CronError
from orchestrator.cron.expression import Cron
from orchestrator.cron.zone import SECOND, instant

#: The most fires that are made up at once.
MOST = 1000

_CATCH_UP = re.compile(r"catch_up\((\d{1,9})\)", re.ASCII)


@dataclass(frozen=True, slots=True)
class CatchUp:
    """Make up the latest *n* missed fires, oldest first."""

    n: int

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or not 1 <= self.n <= MOST:
            raise CronError(f"catch_up is given {self.n!r}; give a whole number from 1 to {MOST}")

    def __str__(self) -> str:
        return f"catch_up({self.n})"


#: ``skip``: what was missed is left out. ``run_once``: one run stands for all of them. ``catch_up(n)``: the latest n.
Missed: TypeAlias = Literal["skip", "run_once"] | CatchUp


def catch_up(n: int) -> CatchUp:
    """The policy that makes up the latest *n* missed fires; CronError unless 1 <= n <= 1000."""
    return CatchUp(n)


def parse_missed(text: str) -> Missed:
    """A policy from configuration: ``skip``, ``run_once`` or ``catch_up(3)``; CronError for anything else."""
    if text == "skip":
        return "skip"
    if text == "run_once":
        return "run_once"
    found = _CATCH_UP.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise CronError(f"the policy for missed fires is {text!r}; give skip, run_once or, for example, catch_up(3)")
    return CatchUp(int(found[1]))


@dataclass(frozen=True, slots=True)
class Fires:
    """What is to be done now: run *now* (oldest first), then wait until *next*. *dropped*: others are not made up."""

    now: tuple[datetime, ...]
    next: datetime
    dropped: bool = False


def due_fires(
    cron: Cron,
    now: datetime,
    missed: Missed = "run_once",
    *,
    last: datetime | None = None,
    next_run_at: datetime | None = None,
    grace: float = 60.0,
) -> Fires:
    """Which fires of *cron* are to be run at *now*, and when the next one is.

    What was stored is either the *last* fire that was dealt with, or the moment *next_run_at* of the one that is due
    next, which counts as a fire even if the expression has been changed since. A fire that is at most *grace* seconds
    old is on time rather than missed; ``skip`` runs the latest of these. The clock may have been set back: what lies
    after *now* is kept as it is. Time needed is bounded, whatever the outage: :data:`MOST` fires some forty times.
    """
    moment = instant(now, "now")
    if (last is None) == (next_run_at is None):
        raise CronError("due_fires needs either the last fire or next_run_at, and not both")
    if next_run_at is not None:
        stored = instant(next_run_at, "next_run_at")
        if stored > moment:
            return Fires((), stored)
        passed, dropped = _latest(cron, stored, moment, _most(missed), (stored,))
    else:
        assert last is not None
        stored = instant(last, "the last fire")
        passed, dropped = _latest(cron, stored, moment, _most(missed), ())
    if missed == "skip":
        on_time = tuple(fire for fire in passed if moment - fire <= timedelta(seconds=grace))
        passed, dropped = on_time, dropped or len(on_time) < len(passed)
    return Fires(passed, cron.next(max(stored, moment)), dropped)


def _most(missed: Missed) -> int:
    return missed.n if isinstance(missed, CatchUp) else 1


def _latest(
    cron: Cron, stored: datetime, now: datetime, most: int, oldest: tuple[datetime, ...]
) -> tuple[tuple[datetime, ...], bool]:
    """The latest *most* of *oldest* and the fires in (stored, now]; and whether there were more."""
    passed = (*oldest, *_some(cron, stored, now, most + 1))
    if len(passed) <= most:
        return passed, False
    near, far = 0, (now - stored) // SECOND  # seconds before now; that far back there are more than enough
    while far - near > 1:
        middle = (near + far) // 2
        if len(_some(cron, now - middle * SECOND, now, most)) < most:
            near = middle
        else:
            far = middle
    found = _some(cron, now - far * SECOND, now, most + 1)
    return (*oldest, *found)[-most:], True


def _some(cron: Cron, after: datetime, until: datetime, most: int) -> list[datetime]:
    """The first *most* fires in (after, until]."""
    return list(islice(takewhile(lambda fire: fire <= until, cron.fires(after)), most))
