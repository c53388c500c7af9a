"""The progress of phase 1: a bar on a terminal, log lines elsewhere."""

import io
import logging

import pytest

from longrun.events import RetryScheduled, StopRequested, TaskFailed, TaskFinished
from orchestrator.cli.progress import PreflightProgress


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def lines(caplog):
    """What was logged about the progress so far: passed of total."""
    caplog.set_level(logging.INFO)
    return lambda: [(record.passed, record.total) for record in caplog.records]


def finish(progress, *numbers):
    for number in numbers:
        progress(TaskFinished(f"preflight:check:{number}", "r"))


def test_a_few_preflights_are_told_one_by_one(lines):
    """Three of three."""
    progress = PreflightProgress(io.StringIO())
    progress.expect(3)

    finish(progress, 1, 2, 3)

    assert lines() == [(1, 3), (2, 3), (3, 3)]


def test_many_preflights_are_told_by_tenths(lines):
    """Ten lines for ten thousand tenants."""
    progress = PreflightProgress(io.StringIO())
    progress.expect(10_000)

    finish(progress, *range(10_000))

    assert lines() == [(tenth * 1000, 10_000) for tenth in range(1, 11)]


def test_workers_are_not_counted(lines):
    """Only what belongs to phase 1."""
    progress = PreflightProgress(io.StringIO())
    progress.expect(1)

    progress(TaskFinished("worker:poll:a", "r"))

    assert lines() == []


@pytest.mark.parametrize(
    "end", [TaskFinished("preflight:check:2", "r"), TaskFailed("preflight:check:2", OSError("x"), "permanent")]
)
def test_nothing_is_told_of_preflights_behind_the_phase(lines, end):
    """Tenants that join later; a phase is over with its last failure, too."""
    progress = PreflightProgress(io.StringIO())
    progress.expect(2)
    finish(progress, 1)
    progress(end)
    told = lines()

    finish(progress, 3, 4)

    assert lines() == told


def test_nothing_is_told_when_there_is_no_preflight(lines):
    """All of them belong to tenants that join later."""
    progress = PreflightProgress(io.StringIO())
    progress.expect(0)

    finish(progress, 1)

    assert lines() == []


def test_the_bar_shows_what_holds_the_others_up(monkeypatch):
    """The failure of the one that waits, with text that looks like markup as it is."""
    monkeypatch.setenv("COLUMNS", "200")
    stream = Terminal()
    progress = PreflightProgress(stream)
    progress.expect(2)
    finish(progress, 1)

    progress(RetryScheduled("preflight:check:2", 1, 4.2, "node", OSError("[red] refused"), None))
    progress.close()

    assert "1/2" in stream.getvalue()
    assert "preflight:check:2 again in 4 s: OSError: [red] refused" in " ".join(stream.getvalue().split())


def test_a_long_note_gives_way_to_the_count(monkeypatch):
    """On eighty columns the bar and the numbers stay, the note is cut."""
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    progress = PreflightProgress(stream)
    progress.expect(2)
    finish(progress, 1)

    progress(RetryScheduled("preflight:check:2", 1, 4.2, "node", OSError("refused " * 20), None))
    progress.close()

    last = stream.getvalue().rpartition("\x1b[2K")[2]
    assert "preflights" in last
    assert "1/2" in last
    assert "preflight:check:2 again" in last


def test_the_bar_is_gone_when_a_stop_is_asked_for():
    """Closing it twice is fine."""
    stream = Terminal()
    progress = PreflightProgress(stream)
    progress.expect(2)

    progress(StopRequested("runner", "SIGINT", 0.0))
    written = stream.getvalue()
    finish(progress, 1, 2)
    progress.close()

    assert stream.getvalue() == written
