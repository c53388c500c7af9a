"""The bars: what our rows are held against, and whether they hold."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.resilience.measure import Key, Samples

PIPELINE = "longrun Pipeline(retry, timeout, breaker)"
BARE = ("bare", "bare")


@dataclass(frozen=True, slots=True)
class Bar:
    """Our row *ours* of *group* must be within *limit* of *other* (a group and a name).

    *ratio*: the limit is a multiple; else it is microseconds more.
    """

    group: str
    ours: str
    path: str
    backends: tuple[str, ...]
    other: tuple[str, str]
    limit: float
    ratio: bool = False


ALL = ("asyncio", "uvloop", "trio")
BARS = (
    Bar("retry", "longrun Pipeline.do(retry)", "ok", ALL, BARE, 0.30),
    Bar("retry", "longrun do(retry), ready option", "ok", ALL, BARE, 0.30),
    Bar("retry", "longrun Pipeline.do(retry)", "ok", ALL, ("retry", "nopanic"), 1.0, ratio=True),
    Bar(
        "retry",
        "longrun Pipeline.do(trace, retry), no provider",
        "ok",
        ALL,
        ("retry", "longrun Pipeline.do(retry)"),
        0.10,
    ),
    Bar("breaker", "longrun breaker, failure rate", "ok", ALL, BARE, 1.0),
    Bar("breaker", "longrun breaker, failure rate", "ok", ALL, ("breaker", "nopanic"), 1.0, ratio=True),
    Bar("breaker", "longrun breaker, in a row", "ok", ALL, BARE, 1.0),
    Bar("bulkhead", "longrun bulkhead", "ok", ALL, BARE, 1.0),
    Bar("bulkhead", "longrun bulkhead", "ok", ALL, ("bulkhead", "nopanic"), 1.0, ratio=True),
    Bar("ratelimit", "longrun ratelimit", "ok", ALL, BARE, 1.0),
    Bar("ratelimit", "longrun ratelimit", "ok", ALL, ("ratelimit", "nopanic"), 1.0, ratio=True),
    Bar("hedge", "longrun hedge, not fired", "ok", ("asyncio", "uvloop"), ("hedge", "nopanic"), 0.6, ratio=True),
    Bar("hedge", "longrun hedge, not fired", "ok", ("trio",), ("hedge", "nopanic"), 1.15, ratio=True),
    Bar("pipeline", PIPELINE, "ok", ALL, ("pipeline", "nopanic"), 1.15, ratio=True),
    Bar("pipeline", PIPELINE, "fail2", ("asyncio",), ("pipeline", "nopanic"), 0.85, ratio=True),
    Bar("pipeline", PIPELINE, "fail2", ("trio",), ("pipeline", "nopanic"), 0.62, ratio=True),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was measured against a bar; *figure* is None where one of the two rows did not run."""

    bar: Bar
    backend: str
    figure: float | None

    @property
    def holds(self) -> bool:
        """Within the limit."""
        return self.figure is not None and self.figure <= self.bar.limit


def judge(samples: Samples, backends: list[str]) -> Iterator[Verdict]:
    """One verdict for each bar and backend that was measured."""
    for bar in BARS:
        for backend in bar.backends:
            if backend not in backends:
                continue
            mine: Key = (bar.group, bar.ours, bar.path, backend)
            its: Key = (*bar.other, bar.path, backend)
            compare = samples.ratio if bar.ratio else samples.over
            yield Verdict(bar, backend, compare(mine, its))
