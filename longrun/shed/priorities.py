"""Priority of the calls that a context makes: what is shed first, and what last.

| priority | adaptive: of the limit | throttle: the surplus of k | on_latency: calls that may be slow        |
|----------|------------------------|-----------------------------|-------------------------------------------|
| low      | 60 %                   | half                        | half of what the quantile allows          |
| normal   | 80 %                   | as given                    | what the quantile allows                  |
| high     | 90 %                   | twice                       | a quarter of the way from there to all    |
| critical | 100 %                  | four times                  | half of the way                           |

All columns only ever grow with the priority: in one and the same state, with one and the same draw, whatever is
admitted at one priority is admitted at every higher one. The numbers are ours; each option explains its column.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias, get_args

from longrun.errors import PipelineError

Priority: TypeAlias = Literal["low", "normal", "high", "critical"]

#: Lowest first; the index of a priority is its rank.
PRIORITIES: tuple[Priority, ...] = get_args(Priority)

_NORMAL = 1

#: The rank of what the current context calls.
rank: ContextVar[int] = ContextVar("longrun_shed_rank", default=_NORMAL)


def priority(level: Priority) -> AbstractContextManager[None]:
    """Calls made inside have this priority; tasks started inside inherit it. Without it, calls are ``"normal"``.

    PipelineError for a name that is none of the four.
    """
    if level not in PRIORITIES:
        raise PipelineError(f"shed.priority is {level!r}; give one of {', '.join(PRIORITIES)}")
    return _inside(PRIORITIES.index(level))


@contextmanager
def _inside(value: int) -> Iterator[None]:
    token = rank.set(value)
    try:
        yield
    finally:
        rank.reset(token)
