"""Tables for people, and what a run stood on."""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from benchmarks.samples import Key


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


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The packages that took part."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def header(packages: Mapping[str, str]) -> str:
    """What the run stood on."""
    said = "  ".join(f"{name} {number}" for name, number in packages.items())
    return f"python {platform.python_version()}  cores {os.cpu_count()}  load {os.getloadavg()[0]:.2f}\n{said}"


def left_out(notes: Mapping[Key, str]) -> str:
    """The rows that could not run, and why."""
    said = sorted({f"{name} ({group}, {backend}): {why}" for (group, name, _, backend), why in notes.items()})
    return "\nleft out\n" + "\n".join(f"  {line}" for line in said) if said else ""
