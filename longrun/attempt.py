"""Attempts: what was tried before an error came out, kept on the error itself."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from longrun.chain import chain

_ATTRIBUTE = "__longrun_attempts__"
_MARK = "longrun: "


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call.

    *index* counts from 1; *start* is on the monotonic clock; *wait* is the pause that followed, None after the last
    attempt, when *stopped_by* and *reason* say who ended the call and why.
    """

    index: int
    start: float
    duration: float
    error: BaseException
    wait: float | None = None
    stopped_by: str | None = None
    reason: str | None = None


#: Stands for the error that keeps the attempts: one that referred to itself would wait for the garbage collector.
_ITSELF = Exception("the error itself")


class _Kept(NamedTuple):
    number: int
    attempts: tuple[Attempt, ...]


#: How many timelines were kept so far in this process. A reading of it marks an instant exactly, which a clock that
#: stands still (in tests) does not.
kept = 0


def timeline(error: BaseException) -> tuple[Attempt, ...]:
    """The attempts behind *error*, first to last; empty for an error that did not pass through longrun."""
    found: _Kept | None = getattr(error, _ATTRIBUTE, None)
    return () if found is None else (*found.attempts[:-1], replace(found.attempts[-1], error=error))


def record(error: BaseException, attempts: tuple[Attempt, ...]) -> None:
    """Keep *attempts* on *error* with a one-line note; an error raised again carries the newest call only."""
    global kept  # a count of the process; two threads that read the same number do no harm
    kept += 1
    last = attempts[-1]
    elapsed = last.start + last.duration - attempts[0].start
    count = "1 attempt" if last.index == 1 else f"{last.index} attempts"
    note = f"{_MARK}gave up after {count} in {elapsed:.3g} s: {last.reason}"
    try:
        setattr(error, _ATTRIBUTE, _Kept(kept, (*attempts[:-1], replace(last, error=_ITSELF))))
        notes = [text for text in getattr(error, "__notes__", ()) if not str(text).startswith(_MARK)]
        error.__notes__ = [*notes, note]
    except (AttributeError, TypeError):
        return  # an error type that refuses attributes goes out as it is


def retries_since(mark: int, error: BaseException) -> int:
    """How often *error*, or what it was raised from, was retried in vain since :data:`kept` was *mark*."""
    return max((_retries(cause, mark) for cause in chain(error, contexts=False)), default=0)


def _retries(error: BaseException, mark: int) -> int:
    found: _Kept | None = getattr(error, _ATTRIBUTE, None)
    return len(found.attempts) - 1 if found is not None and found.number > mark else 0
