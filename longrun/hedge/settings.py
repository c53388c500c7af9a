"""What ``hedge.after`` was asked for, checked."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from longrun.durations import Duration, seconds
from longrun.errors import PipelineError
from longrun.matching import Errors, Matcher

#: More copies than these protect nobody; Polly draws the line at the same place.
MOST_EXTRA = 10
#: Beyond it the window would have to hold more samples than a service sees in a day of moderate traffic.
HIGHEST_QUANTILE = 0.999


@dataclass(frozen=True, slots=True)
class Settings:
    """Exactly one of *delay* (seconds) and *quantile* is set."""

    delay: float | None
    quantile: float | None
    extra: int
    fatal: Matcher | None
    accept: Callable[[Any], object] | None
    discard: Callable[[Any], object] | None
    grace: float

    @classmethod
    def checked(
        cls,
        delay: Duration | None,
        quantile: float | None,
        extra: int,
        fatal: Errors,
        accept: Callable[[Any], object] | None,
        discard: Callable[[Any], object] | None,
        grace: Duration,
    ) -> "Settings":
        """The settings; PipelineError or ValueError that names the value and the remedy."""
        if (delay is None) == (quantile is None):
            both = "neither a delay nor a quantile" if delay is None else "both a delay and a quantile"
            raise PipelineError(
                f"hedge.after was given {both}; give one: hedge.after(0.2) or hedge.after(quantile=0.95)"
            )
        if quantile is not None and not _is_share(quantile):
            raise PipelineError(
                f"hedge.after quantile is {quantile!r}; give a share above 0 and up to {HIGHEST_QUANTILE}, such as 0.95"
            )
        if isinstance(extra, bool) or not isinstance(extra, int) or not 1 <= extra <= MOST_EXTRA:
            raise PipelineError(f"hedge.after extra is {extra!r}; give a whole number from 1 to {MOST_EXTRA}")
        for what, given in (("accept", accept), ("discard", discard)):
            if given is not None and not callable(given):
                raise PipelineError(f"hedge.after {what} is {given!r}; give a callable that takes the answer")
        return cls(
            None if delay is None else seconds(delay, "hedge.after delay", zero=True),
            quantile,
            extra,
            None if fatal == () else _matcher(fatal),
            accept,
            discard,
            seconds(grace, "hedge.after grace"),
        )

    def __str__(self) -> str:
        when = f"{self.delay:g} s" if self.delay is not None else f"the {self.quantile:g} quantile of latencies"
        copies = "one more copy" if self.extra == 1 else f"up to {self.extra} more copies"
        return f"hedge after {when}: {copies}"


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= HIGHEST_QUANTILE


def _matcher(fatal: Errors) -> Matcher:
    return Matcher(fatal, what="hedge.after fatal")
