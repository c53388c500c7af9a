"""Handlers of intents, by type or by the beginning of types."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from inspect import signature
from typing import Any, TypeVar, overload

from orchestrator.contracts import IntentHandler, Stall, TypedIntentRun
from orchestrator.inbox.errors import DuplicateHandler, InvalidHandler, InvalidIntent
from orchestrator.inbox.intent import check_type
from orchestrator.inbox.worker.limits import Limit, Rate

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Handler:
    """An async function that handles one type of intents, or with *prefix* all types that begin so.

    *timeout* in seconds limits each attempt; *stall* is when an attempt counts as stalled, and what is done about it.
    *concurrency*: so many at once in each process. *total*: so many at once of all workers on the database, those of
    other programs included; exact, and it costs a lock per claim. *rate*: so many starts per time in each process.
    *payload*: what the payload is checked against and turned into - a pydantic model, a dataclass, a TypedDict.
    """

    type: str
    work: Callable[[Any], Awaitable[object]]
    timeout: float | None = None
    _: KW_ONLY
    stall: Stall | None = None
    concurrency: int | None = None
    total: int | None = None
    rate: Rate | None = None
    payload: object = None
    prefix: bool = False

    def __post_init__(self) -> None:
        try:
            check_type(self.type.rstrip(".-") if self.prefix and isinstance(self.type, str) else self.type)
        except InvalidIntent as error:
            raise InvalidHandler(f"handler {_name(self.work)}: {error}") from None
        where = f"handler of {self.type!r}"
        if not callable(self.work):
            raise InvalidHandler(f"the {where} is {self.work!r}; give an async function")
        _check_signature(where, self.work)
        if self.timeout is not None and not _seconds(self.timeout):
            raise InvalidHandler(f"{where}: timeout is {self.timeout!r}; give seconds above 0")
        if self.stall is not None and not isinstance(self.stall, Stall):
            raise InvalidHandler(f"{where}: stall is {self.stall!r}; give a Stall(expected=...)")
        if self.rate is not None and not isinstance(self.rate, Rate):
            raise InvalidHandler(f"{where}: rate is {self.rate!r}; give a Rate(times, seconds)")
        for name in ("concurrency", "total"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidHandler(f"{where}: {name} is {value!r}; give a whole number above 0")
        if self.prefix and self.limit is not None:
            raise InvalidHandler(f"{where}: a prefix cannot be limited; give each limited type a handler of its own")

    @property
    def limit(self) -> Limit | None:
        """What limits its type; None when nothing does."""
        if self.concurrency is None and self.total is None and self.rate is None:
            return None
        return Limit(self.concurrency, self.total, self.rate)

    async def __call__(self, run: Any) -> object:  # noqa: ANN401 - of the type that its payload says
        """Handle *run*."""
        return await self.work(run)


@overload
def handler(
    type: str,
    *,
    payload: type[P],
    timeout: float | None = None,
    stall: Stall | None = None,
    concurrency: int | None = None,
    total: int | None = None,
    rate: Rate | None = None,
) -> Callable[[Callable[[TypedIntentRun[P]], Awaitable[object]]], Handler]: ...
@overload
def handler(
    type: str,
    *,
    timeout: float | None = None,
    stall: Stall | None = None,
    concurrency: int | None = None,
    total: int | None = None,
    rate: Rate | None = None,
) -> Callable[[IntentHandler], Handler]: ...
def handler(type: str, **options: Any) -> Callable[[Any], Handler]:  # noqa: A002 - the wire's own word
    """Make the handler of one type from an async function: ``@handler("billing.invoice.v1", timeout=30)``.

    The options are those of :class:`Handler`.
    """
    return lambda work: Handler(type, work, **options)


class Handlers:
    """What a poller can handle: at most one handler of each type. InvalidHandler, DuplicateHandler otherwise."""

    def __init__(self, *handlers: Handler) -> None:
        self._by_type: dict[str, Handler] = {}
        self._by_prefix: dict[str, Handler] = {}
        for each in handlers:
            self._register(each)

    def add(
        self,
        type: str,  # noqa: A002 - the wire's own word
        work: Callable[[Any], Awaitable[object]],
        *,
        timeout: float | None = None,
        stall: Stall | None = None,
        concurrency: int | None = None,
        total: int | None = None,
        rate: Rate | None = None,
        payload: object = None,
    ) -> "Handlers":
        """Register *work*, a bound method for example, for *type*."""
        limits: dict[str, Any] = {"concurrency": concurrency, "total": total, "rate": rate}
        self._register(Handler(type, work, timeout, stall=stall, payload=payload, **limits))
        return self

    def prefix(
        self,
        beginning: str,
        work: Callable[[Any], Awaitable[object]],
        *,
        timeout: float | None = None,
        stall: Stall | None = None,
        payload: object = None,
    ) -> "Handlers":
        """Register *work* for all types that begin with *beginning* (``billing.``) and have no handler of their own."""
        self._register(Handler(beginning, work, timeout, stall=stall, payload=payload, prefix=True))
        return self

    @property
    def types(self) -> Sequence[str]:
        """The registered types, in the order of their names."""
        return tuple(sorted(self._by_type))

    @property
    def prefixes(self) -> Sequence[str]:
        """The registered beginnings of types, in their order."""
        return tuple(sorted(self._by_prefix))

    def find(self, type: str) -> Handler | None:  # noqa: A002 - the wire's own word
        """The handler of *type*: its own, else that of the longest prefix; None when there is none."""
        found = self._by_type.get(type)
        if found is not None:
            return found
        fitting = [prefix for prefix in self._by_prefix if type.startswith(prefix)]
        return self._by_prefix[max(fitting, key=len)] if fitting else None

    def __getitem__(self, type: str) -> Handler:  # noqa: A002 - the wire's own word
        return self._by_type[type]

    def __len__(self) -> int:
        return len(self._by_type) + len(self._by_prefix)

    def _register(self, new: object) -> None:
        if not isinstance(new, Handler):
            raise InvalidHandler(f"{new!r} is no handler; decorate it with @handler('type.v1')")
        known = (self._by_prefix if new.prefix else self._by_type).setdefault(new.type, new)
        if known is not new:
            raise DuplicateHandler(
                f"{new.type!r} has two handlers, {_name(known.work)} and {_name(new.work)}; "
                "remove one, or give it a type of its own"
            )


def _check_signature(where: str, work: Callable[..., object]) -> None:
    try:
        parameters = signature(work)
    except (TypeError, ValueError):  # as some of C's: what it takes shows when it is called
        return
    try:
        parameters.bind(None)
    except TypeError as error:
        raise InvalidHandler(
            f"{where}: {_name(work)}{parameters} cannot be called with a run alone ({error}); give an async function "
            "of one argument, the run"
        ) from None


def _seconds(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and isinstance(value, int | float) and math.isfinite(value) and value > 0


def _name(work: object) -> str:
    return getattr(work, "__qualname__", None) or repr(work)
