"""What a bulkhead is told: a frozen value that has been checked."""

from dataclasses import dataclass

from longrun.errors import PipelineError


@dataclass(frozen=True, slots=True)
class Settings:
    """At most *limit* calls run, at most *queue* wait. PipelineError for a value that cannot be meant."""

    limit: int
    queue: int

    def __post_init__(self) -> None:
        whole("bulkhead.max limit", self.limit, 1)
        whole("bulkhead.max queue", self.queue, 0)

    def __str__(self) -> str:
        return f"(limit={self.limit}, queue={self.queue})"


def whole(what: str, value: object, least: int) -> None:
    """PipelineError unless *value* is a whole number of at least *least*."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise PipelineError(f"{what} is {value!r}; give a whole number of at least {least}")
