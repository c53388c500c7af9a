"""The pipelines and the retries as bars."""

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.plot import Panel
from benchmarks.resilience.row import Row
from benchmarks.samples import Samples

PANELS = (("retry", "ok"), ("breaker", "ok"), ("pipeline", "ok"), ("pipeline", "fail2"))


def panels(rows: Sequence[Row], samples: Samples, backends: Iterable[str]) -> Iterator[Panel]:
    """What is drawn of a run."""
    for backend in backends:
        for group, kind in PANELS:
            bars = [
                (row.name, median)
                for row in rows
                if row.group == group and (median := samples.median((group, row.name, kind, backend))) is not None
            ]
            yield Panel(f"{group}, {kind}, {backend}: us per call", bars)
