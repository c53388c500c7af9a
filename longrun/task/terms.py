"""Terms: when and how work is run. Tasks of one kind share one value, however many there are."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from longrun.engine import Rule
from longrun.option import Wrapper
from longrun.task.gate import Gate
from longrun.task.limit import Limit

if TYPE_CHECKING:
    from longrun.critic.critic import Critic

Hook: TypeAlias = Callable[[], Awaitable[object]]
Timing: TypeAlias = Literal["fixed_rate", "fixed_delay"]
Missed: TypeAlias = Literal["skip", "catch_up_one"]

#: The finest grid a runner keeps, in seconds: its calendar's default resolution.
RESOLUTION = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What :meth:`Task.once` and :meth:`Task.every` check and take; see there. Durations are seconds.

    ``Task(name, work, terms)`` makes a task of terms that are there already, for schedulers of many.
    """

    interval: float | None = None
    timeout: float | None = None
    jitter: float = 0.0
    splay: float = 0.0
    timing: Timing = "fixed_rate"
    missed: Missed = "skip"
    shutdown: Hook | None = None
    gate: Gate | None = None
    limits: tuple[Limit, ...] = ()
    stall: "Critic | None" = None
    rules: tuple[Rule, ...] = ()
    layers: tuple[Wrapper, ...] = ()
    takes_run: bool = False
    #: How long an attempt surely needs no looking after, and how long it may take if nobody extends that.
    patience: float = field(init=False, default=math.inf)
    longest: float = field(init=False, default=math.inf)

    def __post_init__(self) -> None:
        stall = self.stall
        noticed = () if stall is None else (stall.expected, stall.idle)
        ended = () if stall is None else (stall.allowed,)
        object.__setattr__(self, "patience", _least(self.timeout, *noticed))
        object.__setattr__(self, "longest", _least(self.timeout, *ended))


def _least(*limits: float | None) -> float:
    return min((limit for limit in limits if limit is not None), default=math.inf)
