"""Attempts: what was tried before an error came out, kept on the error itself."""

from dataclasses import dataclass

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


def timeline(error: BaseException) -> tuple[Attempt, ...]:
    """The attempts behind *error*, first to last; empty for an error that did not pass through longrun."""
    found: tuple[Attempt, ...] = getattr(error, _ATTRIBUTE, ())
    return found


def record(error: BaseException, attempts: tuple[Attempt, ...]) -> None:
    """Keep *attempts* on *error* with a one-line note; an error raised again carries the newest call only."""
    last = attempts[-1]
    elapsed = last.start + last.duration - attempts[0].start
    count = "1 attempt" if last.index == 1 else f"{last.index} attempts"
    note = f"{_MARK}gave up after {count} in {elapsed:.3g} s: {last.reason}"
    try:
        setattr(error, _ATTRIBUTE, attempts)
        kept = [text for text in getattr(error, "__notes__", ()) if not str(text).startswith(_MARK)]
        error.__notes__ = [*kept, note]
    except (AttributeError, TypeError):
        return  # an error type that refuses attributes goes out as it is
