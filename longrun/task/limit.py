"""Limit: how many runs of some tasks go on at a time, beside the limit of the whole runner. Pure."""

from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from longrun.task.unit import Unit


class Limit:
    """At most *runs* runs at a time of all tasks that carry it: those of one tenant, of one upstream, of one spec.

    Tasks that are due while it is used up wait in its line, first due first served, and hold nothing meanwhile.
    ValueError for fewer than one run. Used by the tasks of one runner.
    """

    __slots__ = ("_line", "_used", "name", "runs")

    def __init__(self, name: str, runs: int) -> None:
        if not isinstance(name, str) or not name:
            raise ValueError(f"Limit name is {name!r}; say what is limited")
        if isinstance(runs, bool) or not isinstance(runs, int) or runs < 1:
            raise ValueError(f"Limit {name!r}: runs is {runs!r}; give a whole number of at least 1")
        self.name = name
        self.runs = runs
        self._used = 0
        self._line: deque[Unit] | None = None  # most limits of many tenants never have a line

    @property
    def used(self) -> int:
        """Runs that go on."""
        return self._used

    @property
    def waiting(self) -> int:
        """Tasks that are due and wait for it."""
        return sum(unit.phase == "queued" for unit in self._line or ())

    def give_back(self) -> None:
        """A run has ended."""
        self._used -= 1

    def line(self) -> "Iterator[Unit]":
        """Take out who waits, longest first."""
        while self._line:
            yield self._line.popleft()

    def queue(self, unit: "Unit") -> None:
        """Into the line, behind all that were due before it: it may have waited elsewhere already."""
        line = self._line
        if line is None:
            line = self._line = deque()
        if not line or line[-1].due <= unit.due:
            line.append(unit)
        else:
            insort(line, unit, key=attrgetter("due"))

    def take(self) -> None:
        """A run begins."""
        self._used += 1

    @property
    def full(self) -> bool:
        """Whether a run would be one too many."""
        return self._used >= self.runs

    def __repr__(self) -> str:
        return f"<Limit {self.name}: {self._used} of {self.runs}, {self.waiting} waiting>"


def first_full(limits: Sequence[Limit]) -> Limit | None:
    """The first of *limits* that is used up."""
    for limit in limits:
        if limit.full:
            return limit
    return None
