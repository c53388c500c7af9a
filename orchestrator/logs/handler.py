"""The handler: writes whole lines, folds repetitions, and never breaks the work that logs."""

import logging
from typing import TextIO

from orchestrator.logs.context import ContextFilter
from orchestrator.logs.folding import Folding
from orchestrator.logs.redaction import RedactingFilter, Redactor


class LineHandler(logging.Handler):
    """Writes each record to *stream*. One that is gone, or None, loses lines, counted in *lost*; it never raises.

    *redactor* takes secrets out; register later ones with it. Repeated warnings and errors are folded; what is still
    folded is written by :meth:`flush` and :meth:`close`.
    """

    def __init__(self, stream: TextIO | None, folding: Folding, redactor: Redactor) -> None:
        super().__init__()
        self.redactor = redactor
        self.addFilter(ContextFilter())
        self.addFilter(RedactingFilter(redactor))
        self.stream = stream
        self.lost = 0
        self._folding = folding

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*, and the summaries that are due."""
        for each in self._folding.pass_on(record):
            self._write(each)

    def flush(self) -> None:
        """Write what is folded."""
        self.acquire()
        try:
            for each in self._folding.drain():
                self._write(each)
        finally:
            self.release()

    def close(self) -> None:
        """Write what is folded; the stream stays open, it is not ours."""
        self.flush()
        super().close()

    def _write(self, record: logging.LogRecord) -> None:
        if self.stream is None:  # a process that was started without standard error
            self.lost += 1
            return
        try:
            line = self.format(record) + "\n"
            if not line.isascii():
                encoding = getattr(self.stream, "encoding", None) or "utf-8"
                line = line.encode(encoding, "backslashreplace").decode(encoding)
            self.stream.write(line)
            self.stream.flush()
        except Exception:  # noqa: BLE001 - a full disk, a broken pipe, a closed stream: logging is not worth a crash
            self.lost += 1
