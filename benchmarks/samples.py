"""Samples: what the rows of a run came to, one figure for each round."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

Key: TypeAlias = tuple[str, str, str, str]  # group, name, what was measured, backend


@dataclass(slots=True)
class Samples:
    """Figures by key, a figure for each round; and why a row could not run. The rounds of two keys belong together."""

    taken: dict[Key, list[float]] = field(default_factory=dict)
    notes: dict[Key, str] = field(default_factory=dict)

    def median(self, key: Key) -> float | None:
        """The figure that counts; None for a row that did not run."""
        return statistics.median(self.taken[key]) if self.taken.get(key) else None

    def ratio(self, key: Key, other: Key) -> float | None:
        """How many times *other*; None when *other* is nothing at all."""
        if not all(self.taken.get(other, ())):
            return None
        return self._paired(key, other, lambda mine, its: mine / its)

    def over(self, key: Key, other: Key) -> float | None:
        """How much more than *other*."""
        return self._paired(key, other, lambda mine, its: mine - its)

    def drop(self, group: str, name: str, backend: str, why: str) -> None:
        """A row that failed once is left out as a whole: half of its rounds would stand beside other rounds."""
        for key in [key for key in self.taken if (key[0], key[1], key[3]) == (group, name, backend)]:
            del self.taken[key]
        self.notes[group, name, "", backend] = why

    def _paired(self, key: Key, other: Key, compare: Callable[[float, float], float]) -> float | None:
        mine, its = self.taken.get(key), self.taken.get(other)
        if not mine or not its:
            return None
        return statistics.median(compare(a, b) for a, b in zip(mine, its, strict=True))
