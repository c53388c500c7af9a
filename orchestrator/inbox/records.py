"""What the inbox tells of its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestrator.contracts import JsonValue
from orchestrator.inbox.machine import State


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


@dataclass(frozen=True, slots=True)
class NewRun:
    """A checked intent on its way into the store. *delay* in seconds, unless *run_at* says the time."""

    id: str
    type: str
    payload: str
    idempotency_key: str | None
    priority: int
    delay: float
    run_at: datetime | None
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Hold:
    """The right to change a leased run: matches as long as nobody else has claimed or ended it."""

    run_id: str
    worker: str
    fence: int


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that was just claimed. *failures* counts the failed executions before this one."""

    hold: Hold
    type: str
    payload: bytes
    failures: int
    max_attempts: int


@dataclass(frozen=True, slots=True)
class Swept:
    """How many expired leases were brought back to pending, and how many runs failed with theirs."""

    returned: int
    exhausted: int


@dataclass(frozen=True, slots=True)
class Renewal:
    """Of the holds that were to be renewed: those lost to another worker, and those whose run was cancelled."""

    lost: frozenset[Hold]
    cancelled: frozenset[Hold]
