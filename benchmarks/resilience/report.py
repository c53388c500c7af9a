"""What was measured, for people (tables) and for programs (JSON)."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.resilience.bars import Verdict
from benchmarks.resilience.measure import Samples
from benchmarks.resilience.row import Row

GROUPS = ("bare", "retry", "breaker", "bulkhead", "ratelimit", "timeout", "hedge", "pipeline")
PACKAGES = [
    *("anyio", "trio", "uvloop", "opentelemetry-api", "nopanic", "hyx", "pyresilience", "redress", "interlock-cb"),
    *("stamina", "tenacity", "backoff", "purgatory", "circuitbreaker", "aiobreaker", "pybreaker"),
]


def versions() -> dict[str, str]:
    """The packages that took part."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def header() -> str:
    """What the run stood on."""
    packages = "  ".join(f"{name} {number}" for name, number in versions().items())
    return f"python {platform.python_version()}  cores {os.cpu_count()}  load {os.getloadavg()[0]:.2f}\n{packages}"


def table(lines: Sequence[Sequence[str]], texts: int) -> str:
    """*lines* with aligned columns, the first *texts* of them to the left."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at < texts else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


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


def verdicts(found: Iterable[Verdict]) -> str:
    """The bars, one line each."""
    lines = [["", "row", "path", "backend", "against", "measured", "bar"]]
    for one in found:
        bar = one.bar
        form = "{:.2f} x" if bar.ratio else "+{:.2f} us"
        lines.append(
            [
                "?" if one.figure is None else "ok" if one.holds else "MISS",
                bar.ours,
                bar.path,
                one.backend,
                bar.other[1],
                "-" if one.figure is None else form.format(one.figure),
                form.format(bar.limit),
            ]
        )
    return f"\nbars\n{table(lines, 5)}"


def notes(samples: Samples) -> str:
    """The rows that could not run, and why."""
    said = sorted({f"{name} ({group}, {backend}): {why}" for (group, name, _, backend), why in samples.notes.items()})
    return "\nleft out\n" + "\n".join(f"  {line}" for line in said) if said else ""


def save(path: Path, samples: Samples, found: Iterable[Verdict]) -> None:
    """Everything as JSON, with each round's figures."""
    document = {
        "python": platform.python_version(),
        "packages": versions(),
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
        "bars": [
            {
                "row": one.bar.ours,
                "path": one.bar.path,
                "backend": one.backend,
                "against": one.bar.other[1],
                "unit": "ratio" if one.bar.ratio else "us over",
                "measured": one.figure,
                "limit": one.bar.limit,
                "holds": one.holds,
            }
            for one in found
        ],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
