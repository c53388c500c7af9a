"""Bars: what our rows are held against, and whether they hold."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from benchmarks.samples import Key, Samples
from benchmarks.table import table

#: A multiple of the other row's figure, so much more than it, or a figure that needs no other row.
Kind: TypeAlias = Literal["ratio", "over", "figure"]

ALL = ("asyncio", "uvloop", "trio")


@dataclass(frozen=True, slots=True)
class Bar:
    """Our row *ours* of *group* must be within *limit* of *other* (a group and a name) in what *metric* measures.

    *least*: the limit is the least that is good enough, not the most. *other_metric*: where it is not the same.
    """

    group: str
    ours: str
    metric: str
    backends: tuple[str, ...]
    other: tuple[str, str] | None
    limit: float
    kind: Kind = "over"
    least: bool = False
    unit: str = "us"
    other_metric: str | None = None

    def shown(self, figure: float) -> str:
        """*figure* in the terms of this bar."""
        if self.kind == "ratio":
            return f"{figure:.2f} x"
        return f"{'+' if self.kind == 'over' else ''}{figure:.2f} {self.unit}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured against a bar; *figure* is None where one of the two rows did not run."""

    bar: Bar
    backend: str
    figure: float | None

    @property
    def holds(self) -> bool:
        """Within the limit."""
        if self.figure is None:
            return False
        return self.figure >= self.bar.limit if self.bar.least else self.figure <= self.bar.limit

    @property
    def word(self) -> str:
        """``ok``, ``MISS``, or ``?`` for what was not measured."""
        return "?" if self.figure is None else "ok" if self.holds else "MISS"


def judge(bars: Iterable[Bar], samples: Samples, backends: Sequence[str]) -> Iterator[Verdict]:
    """One verdict for each bar and backend that was measured."""
    for bar in bars:
        for backend in bar.backends:
            if backend in backends:
                yield Verdict(bar, backend, _figure(bar, backend, samples))


def _figure(bar: Bar, backend: str, samples: Samples) -> float | None:
    mine: Key = (bar.group, bar.ours, bar.metric, backend)
    if bar.other is None:
        return samples.median(mine)
    its: Key = (*bar.other, bar.other_metric or bar.metric, backend)
    return samples.ratio(mine, its) if bar.kind == "ratio" else samples.over(mine, its)


def lines(found: Iterable[Verdict]) -> str:
    """The verdicts, one line each."""
    head = ["", "row", "measured", "backend", "against", "figure", "bar"]
    return "\nbars\n" + table([head, *map(_line, found)], 5)


def _line(one: Verdict) -> list[str]:
    bar = one.bar
    against = "-" if bar.other is None else bar.other[1]
    figure = "-" if one.figure is None else bar.shown(one.figure)
    return [
        one.word,
        bar.ours,
        bar.metric,
        one.backend,
        against,
        figure,
        (">= " if bar.least else "") + bar.shown(bar.limit),
    ]


def to_json(found: Iterable[Verdict]) -> list[dict[str, object]]:
    """The verdicts for programs."""
    return [
        {
            "group": one.bar.group,
            "row": one.bar.ours,
            "path": one.bar.metric,
            "backend": one.backend,
            "against": None if one.bar.other is None else one.bar.other[1],
            "unit": "ratio" if one.bar.kind == "ratio" else f"{one.bar.unit} {one.bar.kind}",
            "measured": one.figure,
            "limit": one.bar.limit,
            "least": one.bar.least,
            "holds": one.holds,
        }
        for one in found
    ]
