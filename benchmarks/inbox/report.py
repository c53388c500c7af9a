"""What was measured, for people (tables, a plot) and for programs (JSON)."""

import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import bars
from benchmarks.bars import Verdict
from benchmarks.inbox.rows import BACKENDS, Row
from benchmarks.inbox.run import Plan
from benchmarks.plot import Panel
from benchmarks.samples import Samples
from benchmarks.table import table, versions

PACKAGES = ("anyio", "trio", "uvloop", "psycopg", "asyncpg", "pgqueuer", "procrastinate", "chancy", "oban", "dbos")

_DRAIN = {
    "per_s": "per s",
    "client_us": "client us",
    "server_us": "server us",
    "wal_b": "WAL B",
    "rss_mib": "MiB",
    "repeats": "run twice",
}
#: Per scenario: what was measured, and what its column says. CPU time, log and runs are for each intent.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "drain": _DRAIN,
    "replicas": _DRAIN,
    "submit": {"single_per_s": "one by one /s", "concurrent_per_s": "16 at once /s", "bulk_per_s": "bulk /s"},
    "pickup": {"p50_ms": "p50 ms", "p95_ms": "p95 ms", "max_ms": "max ms"},
    "idle": {"tx_per_s": "transactions /s", "server_ms_per_s": "server ms/s"},
    "tenants": _DRAIN,
    "growth": {"server_ms": "server ms", "turn_ms": "p50 ms", "mean_ms": "mean ms", "p95_ms": "p95 ms"},
}
#: The row that the others of its scenario are shown beside, on each database, and the metric that is compared.
BESIDE: Mapping[tuple[str, str], tuple[str, str]] = {
    ("drain", "postgres"): ("floor: raw SQL", "per_s"),
    ("drain", "sqlite"): ("floor: sqlite3", "per_s"),
    ("replicas", "postgres"): ("floor: raw SQL", "per_s"),
    ("submit", "postgres"): ("floor: raw SQL", "single_per_s"),
    ("submit", "sqlite"): ("floor: sqlite3", "single_per_s"),
    ("pickup", "postgres"): ("floor: raw NOTIFY", "p50_ms"),
}
#: What is drawn: scenario, metric, title, and whether more is better.
PANELS = (
    ("drain", "per_s", "intents per second, one worker process", True),
    ("replicas", "per_s", "intents per second, eight worker processes", True),
    ("drain", "server_us", "CPU microseconds of the server per intent", False),
    ("submit", "single_per_s", "submits per second, one by one", True),
    ("submit", "concurrent_per_s", "submits per second, 16 at once", True),
    ("submit", "bulk_per_s", "submits per second, 1000 in a call", True),
    ("pickup", "p50_ms", "pickup when idle, p50 ms", False),
    ("growth", "server_ms", "CPU milliseconds of the server for a turn of the store", False),
)


def figures(rows: Sequence[Row], samples: Samples, scenario: str, backend: str) -> str:
    """One table: the medians of the rows of *scenario*; empty when none ran."""
    columns = COLUMNS[scenario]
    beside = BESIDE.get((scenario, backend))
    head = ["row", *columns.values()]
    lines = [[*head, f"{columns[beside[1]]} : {beside[0]}"] if beside else head]
    for row in rows:
        if (row.scenario, row.backend) != (scenario, backend):
            continue
        medians = [samples.median((scenario, row.name, metric, backend)) for metric in columns]
        if all(median is None for median in medians):
            continue
        line = [row.name, *("-" if median is None else _shown(median) for median in medians)]
        if beside:
            ratio = samples.ratio((scenario, row.name, beside[1], backend), (scenario, beside[0], beside[1], backend))
            line.append("-" if ratio is None else f"{ratio:.2f} x")
        lines.append(line)
    return f"\n{scenario}, {backend}\n{table(lines, 1)}" if len(lines) > 1 else ""


def _shown(figure: float) -> str:
    return f"{figure:.0f}" if abs(figure) >= 1000 else f"{figure:.1f}" if abs(figure) >= 100 else f"{figure:.2f}"


def panels(rows: Sequence[Row], samples: Samples) -> Iterator[Panel]:
    """What is drawn of a run."""
    for backend in BACKENDS:
        for scenario, metric, title, falling in PANELS:
            found = [
                (row.name, median)
                for row in rows
                if (row.scenario, row.backend) == (scenario, backend)
                and (median := samples.median((scenario, row.name, metric, backend))) is not None
            ]
            yield Panel(f"{backend}: {title}", found, falling)


def save(path: Path, samples: Samples, found: Iterable[Verdict], plan: Plan, stood_on: Mapping[str, object]) -> None:
    """Everything as JSON, with each round's figures."""
    document = {
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
        **stood_on,
        "plan": asdict(plan),
        "rows": [
            {
                "scenario": key[0],
                "name": key[1],
                "metric": key[2],
                "backend": key[3],
                "median": samples.median(key),
                "rounds": [round(figure, 4) for figure in taken],
            }
            for key, taken in samples.taken.items()
        ],
        "left_out": [
            {"scenario": key[0], "name": key[1], "backend": key[3], "why": why} for key, why in samples.notes.items()
        ],
        "bars": bars.to_json(found),
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
