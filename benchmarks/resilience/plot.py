"""The pipelines and the retries as bars, one SVG file, drawn without any library."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

from benchmarks.resilience.measure import Samples
from benchmarks.resilience.row import Row

WIDTH, LEFT, LINE = 960, 380, 18
PANELS = (("retry", "ok"), ("breaker", "ok"), ("pipeline", "ok"), ("pipeline", "fail2"))


def draw(path: Path, rows: Iterable[Row], samples: Samples, backends: Iterable[str]) -> None:
    """Write the picture to *path*."""
    rows = list(rows)
    parts: list[str] = []
    y = 24
    for backend in backends:
        for group, kind in PANELS:
            bars = [
                (row.name, median)
                for row in rows
                if row.group == group and (median := samples.median((group, row.name, kind, backend))) is not None
            ]
            if bars:
                y = _panel(parts, y, f"{group}, {kind}, {backend}: us per call", sorted(bars, key=lambda bar: bar[1]))
    style = "text{font:12px sans-serif;fill:#222}.t{font-weight:bold}.o{fill:#1769aa}.f{fill:#bbb}.p{fill:#e0a458}"
    body = "\n".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">\n'
        f'<style>{style}</style>\n<rect width="{WIDTH}" height="{y}" fill="#fff"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def _panel(parts: list[str], y: int, title: str, bars: list[tuple[str, float]]) -> int:
    longest = bars[-1][1]
    parts.append(f'<text class="t" x="12" y="{y}">{escape(title)}</text>')
    y += 8
    for name, figure in bars:
        kind = "o" if name.startswith("longrun") else "f" if name.startswith("floor") else "p"
        width = max(1.0, (WIDTH - LEFT - 80) * figure / longest)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="12"/>')
        parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}">{figure:.2f}</text>')
        y += LINE
    return y + 28
