"""Specs: what a domain wants done, without a word on how failures are treated.

All durations are seconds. Every spec is a frozen value and refuses nonsense when it is made (:class:`SpecError`).
"""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from orchestrator.contracts.checks import positive
from orchestrator.contracts.errors import SpecError
from orchestrator.contracts.run import Run
from orchestrator.contracts.stall import Stall

T = TypeVar("T")

Timing: TypeAlias = Literal["fixed_rate", "fixed_delay"]
Missed: TypeAlias = Literal["skip", "catch_up_one"]
Scope: TypeAlias = Literal["tenant", "cluster", "replica"]
TenantWork: TypeAlias = Callable[[T], Awaitable[None]] | Callable[[T, Run], Awaitable[None]]
GlobalWork: TypeAlias = Callable[[], Awaitable[None]] | Callable[[Run], Awaitable[None]]

#: The grid of the scheduler's calendar: a shorter interval cannot be kept.
SHORTEST_INTERVAL = 0.005

_RESOURCE = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,78}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class PreflightSpec(Generic[T]):
    """A check of one tenant that must pass before any worker starts.

    *timeout* limits each attempt. *gate* names the upstream credential whose wait hints park every unit that shares it.
    """

    resource: str
    work: TenantWork[T]
    _: KW_ONLY
    timeout: float | None = None
    gate: str | None = None

    def __post_init__(self) -> None:
        _check(self, arguments=1)


@dataclass(frozen=True, slots=True)
class GlobalPreflightSpec:
    """A check that belongs to no tenant and must pass before any worker starts."""

    resource: str
    work: GlobalWork
    _: KW_ONLY
    timeout: float | None = None
    gate: str | None = None

    def __post_init__(self) -> None:
        _check(self, arguments=0)


@dataclass(frozen=True, slots=True)
class WorkerSpec(Generic[T]):
    """Work repeated for each tenant every *interval* seconds, for ever.

    The first run is at once (spread by a stable splay), then on the grid; runs of one unit never overlap.
    *timing* ``"fixed_rate"`` keeps the grid, ``"fixed_delay"`` counts from the end of a run. *missed*: what becomes of
    grid points that passed while a run was going on. *jitter*: seconds that each run may start late, at random.
    *scope*: which replica runs it when there are several. *stall*: when a run counts as stalled. *limit*: how many
    runs of this spec go on at a time, of all tenants together.
    """

    resource: str
    interval: float
    work: TenantWork[T]
    _: KW_ONLY
    timeout: float | None = None
    stall: Stall | None = None
    jitter: float | None = None
    timing: Timing = "fixed_rate"
    missed: Missed = "skip"
    scope: Scope = "tenant"
    gate: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        _check(self, arguments=1)
        _check_worker(self, self.scope)


@dataclass(frozen=True, slots=True)
class GlobalWorkerSpec:
    """Work repeated every *interval* seconds that belongs to no tenant. See :class:`WorkerSpec`."""

    resource: str
    interval: float
    work: GlobalWork
    _: KW_ONLY
    timeout: float | None = None
    stall: Stall | None = None
    jitter: float | None = None
    timing: Timing = "fixed_rate"
    missed: Missed = "skip"
    scope: Scope = "cluster"
    gate: str | None = None

    def __post_init__(self) -> None:
        _check(self, arguments=0)
        _check_worker(self, self.scope)


#: Any spec of any tenant type; the only thing that is asked of the tenant type is left to its own module.
AnySpec: TypeAlias = PreflightSpec[Any] | GlobalPreflightSpec | WorkerSpec[Any] | GlobalWorkerSpec


def takes_run(work: Callable[..., object], arguments: int) -> bool:
    """Whether *work* asks for a :class:`Run` behind its first *arguments* positional ones.

    Only a required parameter asks for it: one with a default keeps its default. SpecError when it fits neither shape.
    """
    try:
        signature = inspect.signature(work)
    except (TypeError, ValueError):
        return False
    for wanted, answer in ((arguments, False), (arguments + 1, True)):
        try:
            signature.bind(*([None] * wanted))
        except TypeError:
            continue
        return answer
    shape = "(tenant) or (tenant, run)" if arguments else "() or (run)"
    raise SpecError(f"work {_name(work)}{signature} cannot be called; it must take {shape}")


def _check(spec: AnySpec, arguments: int) -> None:
    where = type(spec).__name__
    if not _text(spec.resource) or not _RESOURCE.fullmatch(spec.resource):
        raise SpecError(
            f"{where}.resource is {spec.resource!r}; use 1 to 80 of a-z 0-9 . _ - with a letter or digit at both ends, "
            "for example 'issue-poller'"
        )
    if not callable(spec.work):
        raise SpecError(f"{where} {spec.resource!r}: work is {spec.work!r}; give an async function")
    takes_run(spec.work, arguments)
    if spec.timeout is not None:
        positive(f"{where} {spec.resource!r}: timeout", spec.timeout)
    if spec.gate is not None and not _text(spec.gate):
        raise SpecError(f"{where} {spec.resource!r}: gate is {spec.gate!r}; give a name, or leave it out")


def _check_worker(spec: WorkerSpec[Any] | GlobalWorkerSpec, scope: str) -> None:
    where = f"{type(spec).__name__} {spec.resource!r}"
    positive(f"{where}: interval", spec.interval)
    if spec.interval < SHORTEST_INTERVAL:
        raise SpecError(f"{where}: interval is {spec.interval!r} s; the shortest is {SHORTEST_INTERVAL} s")
    if spec.jitter is not None:
        positive(f"{where}: jitter", spec.jitter, zero=True)
    limit = getattr(spec, "limit", None)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise SpecError(f"{where}: limit is {limit!r}; give a whole number of runs, at least 1, or leave it out")
    if spec.stall is not None and not isinstance(spec.stall, Stall):
        raise SpecError(f"{where}: stall is {spec.stall!r}; give a Stall")
    for name, value, allowed in (
        ("timing", spec.timing, ("fixed_rate", "fixed_delay")),
        ("missed", spec.missed, ("skip", "catch_up_one")),
        ("scope", scope, ("tenant", "cluster", "replica")),
    ):
        if value not in allowed:
            raise SpecError(f"{where}: {name} is {value!r}; use one of {', '.join(allowed)}")
    if isinstance(spec, GlobalWorkerSpec) and scope == "tenant":
        raise SpecError(f"{where}: scope is 'tenant', but it has no tenant; use cluster or replica")


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _name(work: Callable[..., object]) -> str:
    return getattr(work, "__qualname__", None) or type(work).__qualname__
