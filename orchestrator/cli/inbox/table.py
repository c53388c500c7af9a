"""Rows in columns: as a terminal has room for them, or plain and whole in a pipe."""

import sys
from collections.abc import Sequence

from orchestrator.cli import streams

#: Characters that the last column needs beside the others; with fewer it stands below its row.
_BESIDE = 30

#: Characters that the column before it keeps on the narrowest terminal. The others stay whole, for ids are copied.
_LEAST = 12

_GAP = 2


def show(rows: Sequence[tuple[str, ...]], *, right: Sequence[int] = ()) -> None:
    """A heading and its *rows*. The columns *right* hold numbers; without any, the last one holds remarks."""
    if sys.stdout.isatty() and _rich(rows, right):
        return
    from orchestrator.planner.listing import lines

    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for line in lines([tuple(_aligned(row, index, widths, right) for index in range(len(row))) for row in rows]):
        streams.write(line)


def _aligned(row: tuple[str, ...], index: int, widths: Sequence[int], right: Sequence[int]) -> str:
    return row[index].rjust(widths[index]) if index in right else row[index]


def _rich(rows: Sequence[tuple[str, ...]], right: Sequence[int]) -> bool:
    """Write them with rich, which knows how wide a sign is; False when it is not installed."""
    try:
        from rich.cells import cell_len
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        return False
    console = Console(highlight=False)
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    beside = console.width - sum(widths[:-1]) - _GAP * (len(widths) - 1)
    below = not right and beside < min(widths[-1], _BESIDE)
    if below:
        widths.pop()
        widths[-1] = max(min(widths[-1], _LEAST), widths[-1] + min(0, beside + _GAP))
    elif not right:
        widths[-1] = min(widths[-1], beside)
    for number, row in enumerate(rows):
        line = Text(style="bold" if number == 0 else "")
        for index, width in enumerate(widths):
            cell = Text(row[index])
            cell.truncate(width, overflow="ellipsis")
            cell.align("right" if index in right else "left", width)
            line.append(" " * _GAP if index else "").append_text(cell)
        line.rstrip()
        console.print(line, soft_wrap=True)  # the terminal wraps what is too long for it
        if below and number and row[-1]:
            remark = Text(f"    {row[-1]}")
            remark.truncate(console.width, overflow="ellipsis")
            console.print(remark, soft_wrap=True)
    return True
