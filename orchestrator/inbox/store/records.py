"""What the store is given and what it tells: runs, holds, outcomes, claims.

What is made for every intent is a named tuple: frozen dataclasses take three times as long.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from orchestrator.contracts import JsonValue
from orchestrator.inbox.machine import TERMINAL, State

#: Before a stored idempotency key that is taken only while its run has not ended. When it ends, a colon and the run's
#: id are put behind it, and the key is free again.
ACTIVE = "active:"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as it is stored. *attempt* counts failed executions, *claims* how often our workers took it.

    *payload* and *result* are the stored JSON text, which may be wrong JSON when another program wrote it.
    """

    id: str
    type: str
    payload: str
    state: State
    priority: int
    run_at: datetime
    idempotency_key: str | None
    attempt: int
    max_attempts: int
    leased_by: str | None
    lease_until: datetime | None
    last_error: str | None
    result: str | None
    created_at: datetime
    updated_at: datetime
    fence: int
    claims: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a run's history, oldest first in a listing."""

    id: int
    run_id: str
    type: str
    data: JsonValue
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Runs, newest first; *next* is the cursor of the page behind it, None on the last one."""

    runs: Sequence[RunRecord]
    next: str | None


@dataclass(frozen=True, slots=True)
class Stats:
    """How many runs are in each state, by type; *oldest_due*: since when the longest waiting due run is due."""

    counts: Mapping[tuple[str, State], int]
    oldest_due: datetime | None


class NewRun(NamedTuple):
    """A checked intent on its way into the store. *delay* in seconds, unless *run_at* says the time.

    With *unique* the key is taken only until the run ends; such keys and the others do not meet.
    """

    id: str
    type: str
    payload: str
    idempotency_key: str | None
    priority: int
    delay: float
    run_at: datetime | None
    max_attempts: int
    unique: bool = False

    @property
    def stored_key(self) -> str | None:
        """The key as it stands in the table."""
        return f"{ACTIVE}{self.idempotency_key}" if self.unique and self.idempotency_key else self.idempotency_key


class Stored(NamedTuple):
    """What became of a new run: its id, or that of the run which has its key already."""

    id: str
    existed: bool


class Hold(NamedTuple):
    """The right to change a leased run: matches as long as nobody else has claimed or ended it."""

    run_id: str
    worker: str
    fence: int


class Succeeded(NamedTuple):
    """The handler returned; *result* is JSON text."""

    result: str


class Failed(NamedTuple):
    """The handler raised; tried again in *retry_in* seconds, or never (None)."""

    error: str
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class Released:
    """The handler did not come to an end by its own doing; it is as if the run had never been claimed."""


Outcome = Succeeded | Failed | Released


class Settled(NamedTuple):
    """How the execution under *hold* ended."""

    hold: Hold
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Up to *limit* due runs for *worker*, for *lease* seconds: of exactly these *types*, and those of *prefixes*.

    A prefix is the plain beginning of a type (``billing.``), without wildcards; *excluded* are types that a prefix must
    not bring. *oldest_first* leaves the priority out.

    *caps*: of these types at most so many. *totals*: of these types so many are leased at once in the whole database,
    whoever holds them. Who claims of such a type keeps others from it until the transaction ends; they do not wait for
    that, but leave the type out, see :class:`Turn`.
    """

    worker: str
    types: Sequence[str]
    limit: int
    lease: float
    prefixes: Sequence[str] = ()
    excluded: Sequence[str] = ()
    oldest_first: bool = False
    caps: Mapping[str, int] = field(default_factory=dict)
    totals: Mapping[str, int] = field(default_factory=dict)


class Claimed(NamedTuple):
    """A run that was just claimed. *failures* counts the failed executions before this one.

    *waited*: seconds since it was due, on the clock of the store.
    """

    hold: Hold
    type: str
    payload: bytes
    failures: int
    max_attempts: int
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn brought: the holds whose outcome was refused, and the claimed runs in the order of their claim.

    *refused*: runs that were failed instead of claimed because they had been claimed too often, and those that somebody
    changed meanwhile: others may be due in their place. *contended*: types with a total that were left out, though
    something is due, because another transaction was claiming of them. It tells nobody when it ends, so look again
    soon.
    """

    lost: frozenset[Hold]
    claimed: Sequence[Claimed]
    refused: int = 0
    contended: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Swept:
    """How many expired leases were brought back to pending, and how many runs failed with theirs."""

    returned: int
    exhausted: int


@dataclass(frozen=True, slots=True)
class Promoted:
    """How many runs became claimable, and in how many seconds the next one is due (None: none is waiting)."""

    count: int
    next_in: float | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """Of the holds that were to be renewed: those lost to another worker, and those whose run was cancelled.

    *locked*: those whose run another transaction has in its hands; nothing was changed, so ask again.
    """

    lost: frozenset[Hold]
    cancelled: frozenset[Hold]
    locked: frozenset[Hold] = frozenset()


def ended(states: Sequence[State]) -> Sequence[State]:
    """*states*, of which only those are purged that end a run. ValueError names another."""
    for state in states:
        if state not in TERMINAL:
            raise ValueError(f"runs that are {state} are not purged; use {', '.join(sorted(TERMINAL))}")
    return states
