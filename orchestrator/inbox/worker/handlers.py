"""Handlers of intents, by type."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from orchestrator.contracts import IntentHandler, IntentRun
from orchestrator.inbox.errors import DuplicateHandler, InvalidHandler, InvalidIntent
from orchestrator.inbox.intent import check_type


@dataclass(frozen=True, slots=True)
class Handler:
    """An async function that handles one type of intents; *timeout* in seconds limits each attempt."""

    type: str
    work: IntentHandler
    timeout: float | None = None

    def __post_init__(self) -> None:
        try:
            check_type(self.type)
        except InvalidIntent as error:
            raise InvalidHandler(f"handler {_name(self.work)}: {error}") from None
        if not callable(self.work):
            raise InvalidHandler(f"the handler of {self.type!r} is {self.work!r}; give an async function")
        if self.timeout is not None and not _seconds(self.timeout):
            raise InvalidHandler(f"handler of {self.type!r}: timeout is {self.timeout!r}; give seconds above 0")

    async def __call__(self, run: IntentRun) -> object:
        """Handle *run*."""
        return await self.work(run)


def handler(type: str, *, timeout: float | None = None) -> Callable[[IntentHandler], Handler]:  # noqa: A002 - wire's word
    """Make the handler of one type from an async function: ``@handler("billing.invoice.v1", timeout=30)``."""
    return lambda work: Handler(type, work, timeout)


class Handlers:
    """What a poller can handle: at most one handler of each type. InvalidHandler, DuplicateHandler otherwise."""

    def __init__(self, *handlers: Handler) -> None:
        self._by_type: dict[str, Handler] = {}
        for each in handlers:
            self._register(each)

    def add(self, type: str, work: IntentHandler, *, timeout: float | None = None) -> "Handlers":  # noqa: A002 - as above
        """Register *work*, a bound method for example, for *type*."""
        self._register(Handler(type, work, timeout))
        return self

    @property
    def types(self) -> Sequence[str]:
        """The registered types, in the order of their names."""
        return tuple(sorted(self._by_type))

    def __getitem__(self, type: str) -> Handler:  # noqa: A002 - the wire's own word
        return self._by_type[type]

    def __len__(self) -> int:
        return len(self._by_type)

    def _register(self, new: object) -> None:
        if not isinstance(new, Handler):
            raise InvalidHandler(f"{new!r} is no handler; decorate it with @handler('type.v1')")
        known = self._by_type.setdefault(new.type, new)
        if known is not new:
            raise DuplicateHandler(
                f"{new.type!r} has two handlers, {_name(known.work)} and {_name(new.work)}; "
                "remove one, or give it a type of its own"
            )


def _seconds(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and isinstance(value, int | float) and math.isfinite(value) and value > 0


def _name(work: object) -> str:
    return getattr(work, "__qualname__", None) or repr(work)
