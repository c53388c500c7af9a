"""Rows in columns, on terminals of any width and in a pipe."""

import re
import sys

import pytest

from orchestrator.cli.inbox import table

ROWS = [
    ("ID", "STATE", "TYPE", "NOTE"),
    ("0197f2b4-0000-7000-8000-000000000000", "failed", "shop.receipt.v1", "ConnectError: " + "x" * 200),
    ("0197f2b4-0000-7000-8000-000000000001", "pending", "shop.r.v1", ""),
]


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Shows rows on a terminal of some width; the lines."""

    def draw(width, rows, **options):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        table.show(rows, **options)
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    return draw


def test_in_a_pipe_nothing_is_cut(capsys):
    """For grep; columns are aligned."""
    table.show(ROWS)

    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "  ".join((ROWS[1][0], "failed ", *ROWS[1][2:]))
    assert lines[2] == "  ".join((ROWS[2][0], "pending", "shop.r.v1"))


def test_a_wide_terminal_cuts_the_remark_alone(terminal):
    """One line for each row."""
    lines = terminal(120, ROWS)

    assert len(lines) == 3
    assert all(len(line) <= 120 for line in lines)
    assert lines[1].startswith("0197f2b4-0000-7000-8000-000000000000  failed   shop.receipt.v1  ConnectError: xxx")
    assert lines[1].endswith("x…")


def test_a_narrow_terminal_has_the_remark_below(terminal):
    """A row without one has no such line."""
    lines = terminal(70, ROWS)

    assert lines[0].split() == ["ID", "STATE", "TYPE"]
    assert lines[1].split() == [ROWS[1][0], "failed", "shop.receipt.v1"]
    assert lines[2].startswith("    ConnectError: xxx")
    assert lines[2].endswith("…")
    assert lines[3].split() == [ROWS[2][0], "pending", "shop.r.v1"]


@pytest.mark.parametrize("width", range(1, 140, 7))
def test_an_id_is_never_cut(terminal, width):
    """It is copied from there."""
    lines = terminal(width, ROWS)

    assert [row[0] for row in ROWS[1:]] == [line.split()[0] for line in lines if line.startswith("0197")]


def test_numbers_stand_on_the_right(terminal):
    """So that they can be compared."""
    rows = [("TYPE", "PENDING"), ("a", "7"), ("bbbbb", "1000")]

    drawn = terminal(80, rows, right=[1])

    assert drawn == ["TYPE   PENDING", "a            7", "bbbbb     1000"]


def test_wide_signs_take_their_room(terminal):
    """So that the columns behind them stay in line."""
    rows = [("TYPE", "NOTE"), ("日本", "x"), ("abcd", "y")]

    assert terminal(80, rows) == ["TYPE  NOTE", "日本  x", "abcd  y"]
