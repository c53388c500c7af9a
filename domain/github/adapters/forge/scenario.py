"""What happens in the sandbox by itself: a timeline of growth and trouble, as data, and its player."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from domain.github.adapters.forge.forge import Forge
from domain.github.adapters.forge.trouble import Kind, Trouble

ISSUE_LISTS = r"^GET /repos[^?]*/issues(\?|$)"  # what a poller asks for, under names as well as ids


@dataclass(frozen=True)
class Moment:
    """At *at* seconds after the start: *trouble* is queued or, when there is none, the world grows by one step."""

    at: float
    trouble: Trouble | None = None


@dataclass(frozen=True)
class Calm:
    """Between *start* and *end* seconds nothing grows, so that conditional requests are answered with 304."""

    start: float
    end: float


@dataclass(frozen=True)
class Scenario:
    """A step of growth every *grow_every* seconds, *grow_at_most* times, outside *calms*; *troubles* at their time."""

    grow_every: float = 4.0
    grow_at_most: int = 150
    calms: tuple[Calm, ...] = (Calm(24, 36), Calm(60, 80), Calm(120, 150), Calm(240, 300))
    troubles: tuple[Moment, ...] = (
        Moment(10, Trouble(Kind.RETRY_AFTER, match=ISSUE_LISTS, seconds=3)),
        Moment(20, Trouble(Kind.BAD_GATEWAY, match=ISSUE_LISTS)),
        Moment(20, Trouble(Kind.INTERNAL_ERROR, match=ISSUE_LISTS)),
        Moment(20, Trouble(Kind.UNAVAILABLE, match=ISSUE_LISTS)),
        Moment(40, Trouble(Kind.SECONDARY_LIMIT, match=ISSUE_LISTS, seconds=5)),
    )

    def __post_init__(self) -> None:
        if self.grow_every <= 0:
            raise ValueError(f"grow_every is {self.grow_every!r}; use more than 0 seconds")
        if self.grow_at_most < 0:
            raise ValueError(f"grow_at_most is {self.grow_at_most!r}; use 0 or more steps")

    def timeline(self) -> list[Moment]:
        """Every moment in the order of time; a step that falls into a calm is left out and not made up for later."""
        growth: list[Moment] = []
        tick = 0
        end_of_calms = max((calm.end for calm in self.calms), default=0.0)
        while len(growth) < self.grow_at_most:
            tick += 1
            at = tick * self.grow_every
            if at > end_of_calms or not any(calm.start <= at < calm.end for calm in self.calms):
                growth.append(Moment(at))
        return sorted((*growth, *self.troubles), key=lambda moment: moment.at)


SANDBOX = Scenario()


async def play(
    scenario: Scenario,
    forge: Forge,
    *,
    now: Callable[[], float] = anyio.current_time,
    sleep_until: Callable[[float], Awaitable[None]] = anyio.sleep_until,
) -> None:
    """Let *scenario* happen to *forge*, from now on; returns after its last moment."""
    start = now()
    for moment in scenario.timeline():
        await sleep_until(start + moment.at)
        if moment.trouble is None:
            forge.grow()
        else:
            forge.trouble(moment.trouble)
