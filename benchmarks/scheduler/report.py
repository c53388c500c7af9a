"""What was measured, for people (tables, a plot) and for programs (JSON)."""

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import bars
from benchmarks.bars import Verdict
from benchmarks.plot import Panel
from benchmarks.samples import Samples
from benchmarks.scheduler.rows import Row
from benchmarks.scheduler.run import Plan
from benchmarks.table import table, versions

PACKAGES = ("anyio", "trio", "uvloop", "opentelemetry-sdk", "apscheduler")

#: Per scenario: what was measured, and what its column says. ``_core_`` and ``cpu`` are by the CPU time of the process.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "floor": {"p50_ms": "p50 ms", "p99_ms": "p99 ms", "max_ms": "max ms", "other_pct": "others %"},
    "idle": {
        "bytes": "B/unit",
        "rss_mib": "MiB",
        "start_s": "start s",
        "start_cpu_s": "start cpu s",
        "gc_ms": "gc ms",
        "idle_pct": "idle cpu %",
        "stop_s": "stop s",
        "stop_cpu_s": "stop cpu s",
        "other_pct": "others %",
    },
    "steady": {
        "bytes": "B/unit",
        "cpu_pct": "cpu %",
        "us_per_run": "us/run",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "max_ms": "max ms",
        "runs": "runs",
        "other_pct": "others %",
    },
    "herd": {
        "herd_s": "all started s",
        "herd_cpu_s": "cpu s with start-up",
        "bytes_after": "B/unit after",
        "other_pct": "others %",
    },
    "saturation": {
        "rate_core_k": "k runs/cpu s",
        "rate_k": "k runs/s",
        "us_per_run": "us/run",
        "busy_pct": "cpu %",
        "other_pct": "others %",
    },
    "preflights": {"cpu_s": "cpu s", "wall_s": "s", "other_pct": "others %"},
}
#: What is drawn: scenario, metric, title, and whether more is better.
PANELS = (
    ("steady", "bytes", "bytes per unit", False),
    ("idle", "start_cpu_s", "start-up, CPU seconds", False),
    ("steady", "us_per_run", "CPU microseconds per run at a steady rate", False),
    ("steady", "p99_ms", "lateness p99, ms", False),
    ("saturation", "rate_core_k", "thousand runs per CPU second, saturated", True),
    ("herd", "herd_s", "all units due at one instant: seconds until all have started", False),
)


def figures(rows: Sequence[Row], samples: Samples, scenario: str, backend: str) -> str:
    """One table: the medians of the rows of *scenario*; empty when none ran."""
    columns = COLUMNS[scenario]
    lines = [["row", *columns.values()]]
    for row in rows:
        medians = [samples.median((scenario, row.name, metric, backend)) for metric in columns]
        if row.scenario == scenario and any(median is not None for median in medians):
            lines.append([row.name, *("-" if median is None else _shown(median) for median in medians)])
    return f"\n{scenario}, {backend}\n{table(lines, 1)}" if len(lines) > 1 else ""


def _shown(figure: float) -> str:
    return f"{figure:.0f}" if abs(figure) >= 1000 else f"{figure:.1f}" if abs(figure) >= 100 else f"{figure:.2f}"


def panels(rows: Sequence[Row], samples: Samples, backends: Iterable[str]) -> Iterator[Panel]:
    """What is drawn of a run."""
    for backend in backends:
        for scenario, metric, title, falling in PANELS:
            found = [
                (row.name, median)
                for row in rows
                if row.scenario == scenario
                and (median := samples.median((scenario, row.name, metric, backend))) is not None
            ]
            yield Panel(f"{backend}: {title}", found, falling)


def save(path: Path, samples: Samples, found: Iterable[Verdict], plan: Plan) -> None:
    """Everything as JSON, with each round's figures; among them ``other_pct``, the load of other processes."""
    document = {
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
        "plan": asdict(plan),
        "rows": [
            {
                "scenario": key[0],
                "name": key[1],
                "metric": key[2],
                "backend": key[3],
                "median": samples.median(key),
                "rounds": [round(figure, 6) for figure in taken],
            }
            for key, taken in samples.taken.items()
        ],
        "left_out": [
            {"scenario": key[0], "name": key[1], "backend": key[3], "why": why} for key, why in samples.notes.items()
        ],
        "bars": bars.to_json(found),
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
