"""Folding: the same warning or error again and again is one line, then one line with a count.

Same means: logger, level, message template, kind of error, tenant and resource.
"""

import copy
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias

from orchestrator.logs.record import shown

_Subject: TypeAlias = tuple[object, ...]

#: Subjects remembered at once; past it the oldest is closed early. Ten thousand tenants failing at once fit.
_MOST = 16384


@dataclass(slots=True)
class _Episode:
    since: float
    last: logging.LogRecord
    folded: int = 0


class Folding:
    """Decides which records are written. Not thread safe: the handler holds its lock around it."""

    def __init__(self, window: float = 60.0, clock: Callable[[], float] = monotonic) -> None:
        self._window = window
        self._clock = clock
        self._episodes: OrderedDict[_Subject, _Episode] = OrderedDict()  # oldest first

    def pass_on(self, record: logging.LogRecord) -> Iterable[logging.LogRecord]:
        """What is to be written now: summaries whose window is over, and *record* unless it is a repetition."""
        if record.levelno < logging.WARNING and not self._episodes:
            return (record,)
        return self._folded(record)

    def _folded(self, record: logging.LogRecord) -> Iterator[logging.LogRecord]:
        now = self._clock()
        if self._episodes:
            yield from self._close(lambda episode: now - episode.since >= self._window)
        if record.levelno < logging.WARNING or self._window <= 0:
            yield record
            return
        subject = _subject(record)
        episode = self._episodes.get(subject)
        if episode is not None:
            episode.folded += 1
            episode.last = record
            return
        self._episodes[subject] = _Episode(now, record)
        yield record
        yield from self._close(lambda _: len(self._episodes) > _MOST)

    def drain(self) -> Iterator[logging.LogRecord]:
        """The summaries of everything that is still folded."""
        yield from self._close(lambda _: True)

    def _close(self, due: Callable[[_Episode], bool]) -> Iterator[logging.LogRecord]:
        while self._episodes:
            subject, episode = next(iter(self._episodes.items()))
            if not due(episode):
                return
            del self._episodes[subject]
            if episode.folded:
                yield _summary(episode, self._clock())


def _subject(record: logging.LogRecord) -> _Subject:
    kind = record.exc_info[0] if isinstance(record.exc_info, tuple) else None
    of_context = (shown(getattr(record, name, "")) for name in ("tenant", "resource", "phase"))
    return (record.name, record.levelno, shown(record.msg), kind, *of_context)


def _summary(episode: _Episode, now: float) -> logging.LogRecord:
    """The last one folded, with the count in place of its traceback."""
    record = copy.copy(episode.last)
    record.exc_info = record.exc_text = record.stack_info = None
    record.repeated = episode.folded
    record.repeated_within = round(now - episode.since, 1)
    return record
