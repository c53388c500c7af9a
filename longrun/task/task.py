"""Task: a name, the work, and the terms on which it runs. It knows nothing of the runner that will run it."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from longrun.durations import Duration, seconds
from longrun.engine import Rule
from longrun.option import Option, Part, flatten
from longrun.rule import On
from longrun.task.gate import Gate, spread
from longrun.task.limit import Limit
from longrun.task.run import Run
from longrun.task.terms import RESOLUTION, Hook, Missed, Terms, Timing

if TYPE_CHECKING:
    from longrun.critic.critic import Critic

Work: TypeAlias = Callable[[], Awaitable[object]] | Callable[[Run], Awaitable[object]]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Made by :meth:`once` and :meth:`every`, which check what they are given (ValueError names the field).

    *options*: ``retry.on`` rules, asked before the runner's baseline, whose exhaustion is permanent; any other options
    wrap each attempt. *timeout* limits each attempt and counts as a NODE failure. *stall*: the critic that watches the
    runs. *limits*: how many runs go on at a time of all tasks that carry the same one. *delay* and *shutdown*: seconds
    before the first run; an async callable run after all tasks have stopped, last added first.
    """

    name: str
    work: Work
    terms: Terms
    delay: float = 0.0
    phase: float | None = None
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        if self.limits:  # one that is given twice counts once
            own = tuple(limit for limit in dict.fromkeys(self.limits) if limit not in self.terms.limits)
            object.__setattr__(self, "limits", own)

    @classmethod
    def once(
        cls,
        name: str,
        work: Work,
        options: Option = (),
        *,
        timeout: Duration | None = None,
        delay: Duration = 0.0,
        shutdown: Hook | None = None,
        gate: Gate | None = None,
        limits: Iterable[Limit] = (),
        stall: "Critic | None" = None,
    ) -> "Task":
        """Run *work* until it has succeeded once."""
        _check_name(name)
        terms = _terms(name, work, options, timeout, shutdown, gate, limits, stall)
        return cls(name, work, terms, seconds(delay, f"task {name!r}: delay", zero=True))

    @classmethod
    def every(
        cls,
        name: str,
        interval: Duration,
        work: Work,
        options: Option = (),
        *,
        timeout: Duration | None = None,
        delay: Duration = 0.0,
        phase: Duration | None = None,
        jitter: Duration = 0.0,
        splay: Duration = 0.0,
        timing: Timing = "fixed_rate",
        missed: Missed = "skip",
        shutdown: Hook | None = None,
        gate: Gate | None = None,
        limits: Iterable[Limit] = (),
        stall: "Critic | None" = None,
    ) -> "Task":
        """Run *work* at once and then every *interval* seconds, for ever; runs never overlap.

        ``"fixed_rate"`` keeps a grid (a retry happens inside its tick), ``"fixed_delay"`` counts from the end of a run.
        *missed*: grid points that pass during a run are skipped, or one of them is caught up at once. *jitter*: each
        run starts up to so many seconds late, at random. *phase*: where the grid lies, in seconds after the start of
        the runner; by default it begins with the first run. *splay* spreads many tasks of one kind by a stable hash of
        their names: the first run comes up to so many seconds later, and the grid lies anywhere in the interval.
        """
        _check_name(name)
        every_ = seconds(interval, f"task {name!r}: interval")
        if every_ < RESOLUTION:
            raise ValueError(f"task {name!r}: interval is {every_:g} s; the finest grid is {RESOLUTION} s")
        for field_, value, allowed in (
            ("timing", timing, ("fixed_rate", "fixed_delay")),
            ("missed", missed, ("skip", "catch_up_one")),
        ):
            if value not in allowed:
                raise ValueError(f"task {name!r}: {field_} is {value!r}; use {' or '.join(map(repr, allowed))}")
        spread = seconds(splay, f"task {name!r}: splay", zero=True)
        if spread and phase is not None:
            raise ValueError(f"task {name!r}: phase and splay both place the grid; give one of them")
        terms = replace(
            _terms(name, work, options, timeout, shutdown, gate, limits, stall),
            interval=every_,
            jitter=seconds(jitter, f"task {name!r}: jitter", zero=True),
            splay=spread,
            timing=timing,
            missed=missed,
        )
        placed = None if phase is None else seconds(phase, f"task {name!r}: phase", zero=True)
        return cls(name, work, terms, seconds(delay, f"task {name!r}: delay", zero=True), placed)

    def place(self) -> tuple[float, float]:
        """Seconds after the start: of the first run, and of a point of the grid. A splayed task's never change."""
        terms = self.terms
        if terms.splay and terms.interval is not None:
            share = spread(self.name)
            return self.delay + share * min(terms.splay, terms.interval), share * terms.interval
        return self.delay, self.delay if self.phase is None else self.phase


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"task name is {name!r}; give a non-empty, printable text")


def _terms(
    name: str,
    work: Work,
    options: Option,
    timeout: Duration | None,
    shutdown: Hook | None,
    gate: Gate | None,
    limits: Iterable[Limit],
    stall: "Critic | None",
) -> Terms:
    if not callable(work):
        raise ValueError(f"task {name!r}: work is {work!r}; give an async function")
    if shutdown is not None and not callable(shutdown):
        raise ValueError(f"task {name!r}: shutdown is {shutdown!r}; give an async function")
    if gate is not None and not isinstance(gate, Gate):
        raise ValueError(f"task {name!r}: gate is {gate!r}; give a Gate")
    if stall is not None and not callable(getattr(stall, "watch", None)):
        raise ValueError(f"task {name!r}: stall is {stall!r}; give a Critic")
    taken = tuple(dict.fromkeys(limits))
    for limit in taken:
        if not isinstance(limit, Limit):
            raise ValueError(f"task {name!r}: limit {limit!r} is none; give a Limit")
    parts = flatten([options])
    for part in parts:
        if not callable(part) and not isinstance(part, Part):
            raise ValueError(
                f"task {name!r}: option {part!r} is none; give retry.on rules or an async callable (call) -> result"
            )
    return Terms(
        timeout=None if timeout is None else seconds(timeout, f"task {name!r}: timeout"),
        shutdown=shutdown,
        gate=gate,
        limits=taken,
        stall=stall,
        rules=tuple(_rule(name, part) for part in parts if isinstance(part, Part)),
        layers=tuple(part for part in parts if not isinstance(part, Part)),
        takes_run=_takes_run(name, work),
    )


def _rule(name: str, part: Part) -> Rule:
    if isinstance(part, On):
        return part.rule
    raise ValueError(
        f"task {name!r}: {type(part).__name__} does not fit a task; use retry.on, or wrap the work yourself"
    )


def _takes_run(name: str, work: Work) -> bool:
    """Whether *work* asks for its :class:`Run`: one required positional parameter."""
    try:
        signature = inspect.signature(work)
    except (TypeError, ValueError):
        return False
    for arguments in ((), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise ValueError(f"task {name!r}: work{signature} cannot be called; it must take () or (run)")
