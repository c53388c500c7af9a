"""Figures as bars, one SVG file, drawn without any library."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, LEFT, LINE = 960, 380, 18
STYLE = "text{font:12px sans-serif;fill:#222}.t{font-weight:bold}.o{fill:#1769aa}.f{fill:#bbb}.p{fill:#e0a458}"


@dataclass(frozen=True, slots=True)
class Panel:
    """A title and its bars, a name and a figure each. *falling*: more is better, so the longest bar comes first."""

    title: str
    bars: Sequence[tuple[str, float]]
    falling: bool = False


def draw(path: Path, panels: Iterable[Panel]) -> None:
    """Write *panels* to *path*, one below the other; ours are blue, floors grey."""
    parts: list[str] = []
    y = 24
    for panel in panels:
        if panel.bars:
            y = _panel(parts, y, panel)
    body = "\n".join(parts)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}">\n'
        f'<style>{STYLE}</style>\n<rect width="{WIDTH}" height="{y}" fill="#fff"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


def _panel(parts: list[str], y: int, panel: Panel) -> int:
    longest = max(figure for _, figure in panel.bars) or 1.0
    parts.append(f'<text class="t" x="12" y="{y}">{escape(panel.title)}</text>')
    y += 8
    for name, figure in sorted(panel.bars, key=lambda bar: bar[1], reverse=panel.falling):
        kind = "o" if name.startswith("longrun") else "f" if name.startswith(("floor", "prototype")) else "p"
        width = max(1.0, (WIDTH - LEFT - 80) * figure / longest)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y + 3}" width="{width:.1f}" height="12"/>')
        parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}">{figure:.2f}</text>')
        y += LINE
    return y + 28
