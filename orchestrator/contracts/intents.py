"""Durable intents as a domain sees them: what *should happen*, submitted here, handled there, exactly one outcome."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar, Union

from orchestrator.contracts.database import Connection
from orchestrator.contracts.run import Run

#: What JSON can say.
JsonValue: TypeAlias = Union[bool, int, float, str, "list[JsonValue]", "dict[str, JsonValue]", None]


P_co = TypeVar("P_co", covariant=True)


class TypedIntentRun(Run, Protocol[P_co]):
    """An :class:`IntentRun` whose payload is a ``P``: the handler was registered with ``payload=P``."""

    @property
    def type(self) -> str:
        """Dotted, versioned type, for example ``billing.invoice.v1``."""
        ...

    @property
    def payload(self) -> P_co:
        """What was submitted."""
        ...

    async def heartbeat(self) -> None:
        """Renew the lease now. Raises LeaseLost when another worker owns the run or it was cancelled."""
        ...

    async def is_cancelled(self) -> bool:
        """Ask the database whether somebody has cancelled the run, or another worker owns it by now."""
        ...


class IntentRun(TypedIntentRun[JsonValue], Protocol):
    """One claimed intent, held under a lease that is renewed while the handler runs.

    ``attempt`` counts executions from 1. ``payload`` is the decoded JSON. ``checkpoint`` is kept with the run: its next
    attempt finds it, in whatever process; it is gone when the run has succeeded.
    """


#: Returns a JSON value that is stored as the run's result. What it raises is classified like any failure.
IntentHandler: TypeAlias = Callable[[IntentRun], Awaitable[object]]


class Inbox(Protocol):
    """Where intents are submitted."""

    async def submit(
        self,
        type: str,  # noqa: A002 - the wire's own word
        payload: object,
        *,
        idempotency_key: str | None = None,
        priority: int = 100,
        delay: float = 0.0,
        max_attempts: int = 3,
        unique: bool = False,
    ) -> str:
        """Store the intent and return its run id; the id of the existing run when the key is already known.

        With *unique* a key counts as known only while its run has not ended.
        """
        ...

    def submit_in(
        self,
        connection: Connection,
        type: str,  # noqa: A002 - the wire's own word
        payload: object,
        *,
        idempotency_key: str | None = None,
        priority: int = 100,
        delay: float = 0.0,
        max_attempts: int = 3,
        unique: bool = False,
    ) -> str:
        """The same inside the caller's transaction on the same database: both are stored or neither is."""
        ...
