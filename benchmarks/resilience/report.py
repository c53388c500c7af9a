"""What was measured, for people (tables) and for programs (JSON)."""

import json
import platform
from collections.abc import Iterable
from pathlib import Path

from benchmarks import bars
from benchmarks.bars import Verdict
from benchmarks.resilience.row import Row
from benchmarks.samples import Samples
from benchmarks.table import table, versions

GROUPS = ("bare", "retry", "breaker", "bulkhead", "ratelimit", "timeout", "hedge", "pipeline")
PACKAGES = [
    *("anyio", "trio", "uvloop", "opentelemetry-api", "nopanic", "hyx", "pyresilience", "redress", "interlock-cb"),
    *("stamina", "tenacity", "backoff", "purgatory", "circuitbreaker", "aiobreaker", "pybreaker"),
]


def figures(rows: Iterable[Row], samples: Samples, backends: list[str], path: str) -> str:
    """One table: microseconds per call and how many more than the base of the path, for each backend."""
    base = "bare" if path == "ok" else "for / try by hand"
    head = ["group", "row"]
    for backend in backends:
        head += [backend, "over"]
    lines = [head]
    for row in sorted((row for row in rows if path in row.paths), key=lambda row: GROUPS.index(row.group)):
        line = [row.group, row.name]
        for backend in backends:
            key = (row.group, row.name, path, backend)
            median, over = samples.median(key), samples.over(key, ("bare", base, path, backend))
            line.append("-" if median is None else f"{median:.3f}")
            line.append("" if over is None else f"{over:.3f}")
        lines.append(line)
    title = "returns at once" if path == "ok" else "fails twice, then returns: three attempts"
    return f"\n{path}: {title}; us per call, and over {base!r}\n{table(lines, 2)}"


def save(path: Path, samples: Samples, found: Iterable[Verdict]) -> None:
    """Everything as JSON, with each round's figures."""
    document = {
        "python": platform.python_version(),
        "packages": versions(PACKAGES),
        "rows": [
            {
                "group": key[0],
                "name": key[1],
                "path": key[2],
                "backend": key[3],
                "median_us": samples.median(key),
                "rounds_us": [round(figure, 4) for figure in taken],
            }
            for key, taken in samples.taken.items()
        ],
        "left_out": [
            {"group": k[0], "name": k[1], "path": k[2], "backend": k[3], "why": w} for k, w in samples.notes.items()
        ],
        "bars": bars.to_json(found),
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
