"""The progress of phase 1: a bar on a terminal, log lines elsewhere."""

import logging
import sys
from typing import TYPE_CHECKING, TextIO

from longrun.events import Event, RetryScheduled, StopRequested, TaskFailed, TaskFinished
from orchestrator.logs import LineHandler
from orchestrator.scheduler.outcome import described

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_log = logging.getLogger("orchestrator.preflights")

#: Log lines say how far it is at each tenth, and one by one when there are only a few.
_TENTHS = 10


class PreflightProgress:
    """A listener that shows how many preflights have passed, and what holds the others up.

    While the bar is drawn, the lines of *logs* are written above it.
    """

    routine = False

    def __init__(self, stream: TextIO, logs: LineHandler | None = None) -> None:
        self._stream = stream
        self._logs = logs
        self._total = 0
        self._passed = 0
        self._failed = 0
        self._over = False
        self._bar: Progress | None = None
        self._row: TaskID | None = None

    def expect(self, total: int) -> None:
        """There are *total* preflights; the bar appears with the first event."""
        self._total = total
        self._over = not total
        if total and self._is_terminal():
            self._bar = self._draw()

    def __call__(self, event: Event) -> None:
        if self._over or not event.subject.startswith("preflight:"):
            if isinstance(event, StopRequested):
                self.close()
            return
        match event:
            case TaskFinished():
                self._passed += 1
                self._show("")
            case RetryScheduled():
                self._show(f"{event.subject} again in {event.wait:.0f} s: {described(event.error)}")
            case TaskFailed():
                self._failed += 1
                self._show(f"{event.subject} failed: {described(event.error)}")
            case _:
                pass
        if self._passed + self._failed >= self._total:
            self.close()

    def close(self) -> None:
        """Take the bar away; nothing is shown any more."""
        self._over = True
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            if self._logs is not None:
                self._logs.stream = self._stream

    def _show(self, note: str) -> None:
        if self._bar is not None and self._row is not None:
            self._bar.update(self._row, completed=self._passed, note=note)
        elif not note and self._is_worth_a_line():
            _log.info("preflights.progress", extra={"passed": self._passed, "total": self._total})

    def _is_worth_a_line(self) -> bool:
        step = max(1, self._total // _TENTHS)
        return self._passed == self._total or self._passed % step == 0

    def _is_terminal(self) -> bool:
        try:
            return self._stream.isatty()
        except ValueError:
            return False

    def _draw(self) -> "Progress | None":
        try:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
            from rich.table import Column
        except ImportError:
            return None
        console = Console(file=self._stream)
        columns = (
            TextColumn("preflights", table_column=Column(min_width=10, no_wrap=True)),
            BarColumn(bar_width=24, table_column=Column(min_width=24)),
            MofNCompleteColumn(table_column=Column(min_width=2 * len(str(self._total)) + 1, no_wrap=True)),
            TimeElapsedColumn(table_column=Column(min_width=7, no_wrap=True)),
            # The note alone gives way on a narrow terminal.
            TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        )
        bar = Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=True, expand=True)
        self._row = bar.add_task("preflights", total=self._total, note="")
        bar.start()
        if self._logs is not None:
            self._logs.stream = sys.stderr
        return bar
