"""Task: a name, the work, and when it is due. A frozen value; it knows nothing of the runner that will run it."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from longrun.durations import Duration, seconds
from longrun.engine import Rule
from longrun.option import Option, Part, Wrapper, flatten
from longrun.rule import On
from longrun.task.gate import Gate
from longrun.task.run import Run

Work: TypeAlias = Callable[[], Awaitable[object]] | Callable[[Run], Awaitable[object]]
Hook: TypeAlias = Callable[[], Awaitable[object]]
Timing: TypeAlias = Literal["fixed_rate", "fixed_delay"]
Missed: TypeAlias = Literal["skip", "catch_up_one"]

#: The finest grid a runner keeps, in seconds: its calendar's default resolution.
RESOLUTION = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Made by :meth:`once` and :meth:`every`, which check what they are given (ValueError names the field).

    *options*: ``retry.on`` rules, asked before the runner's baseline, whose exhaustion is permanent; any other options
    wrap each attempt. *timeout* limits each attempt and counts as a NODE failure. *delay* and *shutdown*: seconds
    before the first run; an async callable run after all tasks have stopped, last added first.
    """

    name: str
    work: Work
    interval: float | None = None
    timeout: float | None = None
    delay: float = 0.0
    phase: float | None = None
    jitter: float = 0.0
    timing: Timing = "fixed_rate"
    missed: Missed = "skip"
    shutdown: Hook | None = None
    gate: Gate | None = None
    rules: tuple[Rule, ...] = ()
    layers: tuple[Wrapper, ...] = ()
    takes_run: bool = field(default=False)

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
    ) -> "Task":
        """Run *work* until it has succeeded once."""
        return _checked(
            cls, name, work, options, interval=None, timeout=timeout, delay=delay, shutdown=shutdown, gate=gate
        )

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
        timing: Timing = "fixed_rate",
        missed: Missed = "skip",
        shutdown: Hook | None = None,
        gate: Gate | None = None,
    ) -> "Task":
        """Run *work* at once and then every *interval* seconds, for ever; runs never overlap.

        ``"fixed_rate"`` keeps a grid (a retry happens inside its tick), ``"fixed_delay"`` counts from the end of a run.
        *missed*: grid points that pass during a run are skipped, or one of them is caught up at once. *jitter*: each
        run starts up to so many seconds late, at random. *phase*: where the grid lies, in seconds after the start of
        the runner; by default it begins with the first run.
        """
        every_ = seconds(interval, f"task {name!r}: interval")
        if every_ < RESOLUTION:
            raise ValueError(f"task {name!r}: interval is {every_:g} s; the finest grid is {RESOLUTION} s")
        for field_, value, allowed in (
            ("timing", timing, ("fixed_rate", "fixed_delay")),
            ("missed", missed, ("skip", "catch_up_one")),
        ):
            if value not in allowed:
                raise ValueError(f"task {name!r}: {field_} is {value!r}; use {' or '.join(map(repr, allowed))}")
        return _checked(
            cls,
            name,
            work,
            options,
            interval=every_,
            timeout=timeout,
            delay=delay,
            shutdown=shutdown,
            gate=gate,
            phase=None if phase is None else seconds(phase, f"task {name!r}: phase", zero=True),
            jitter=seconds(jitter, f"task {name!r}: jitter", zero=True),
            timing=timing,
            missed=missed,
        )


def _checked(
    cls: type[Task],
    name: str,
    work: Work,
    options: Option,
    *,
    interval: float | None,
    timeout: Duration | None,
    delay: Duration,
    shutdown: Hook | None,
    gate: Gate | None,
    phase: float | None = None,
    jitter: float = 0.0,
    timing: Timing = "fixed_rate",
    missed: Missed = "skip",
) -> Task:
    if not isinstance(name, str) or not name or not name.isprintable():
        raise ValueError(f"task name is {name!r}; give a non-empty, printable text")
    if not callable(work):
        raise ValueError(f"task {name!r}: work is {work!r}; give an async function")
    if shutdown is not None and not callable(shutdown):
        raise ValueError(f"task {name!r}: shutdown is {shutdown!r}; give an async function")
    if gate is not None and not isinstance(gate, Gate):
        raise ValueError(f"task {name!r}: gate is {gate!r}; give a Gate")
    parts = flatten([options])
    for part in parts:
        if not callable(part) and not isinstance(part, Part):
            raise ValueError(
                f"task {name!r}: option {part!r} is none; give retry.on rules or an async callable (call) -> result"
            )
    return cls(
        name=name,
        work=work,
        interval=interval,
        timeout=None if timeout is None else seconds(timeout, f"task {name!r}: timeout"),
        delay=seconds(delay, f"task {name!r}: delay", zero=True),
        phase=phase,
        jitter=jitter,
        timing=timing,
        missed=missed,
        shutdown=shutdown,
        gate=gate,
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
