"""The port between the schedules of the inbox and a kind of database."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from orchestrator.contracts import Connection
from orchestrator.inbox.store.records import NewRun, Stored


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """A checked schedule on its way into the store. *next_run_at* is its first fire; times have a zone.

    *cron*, *timezone* and *misfire* are kept for whoever finds the times of its fires; the store does not read them.
    """

    id: str
    type: str
    payload: str
    cron: str
    next_run_at: datetime
    timezone: str = "UTC"
    priority: int = 100
    max_attempts: int = 3
    misfire: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """A schedule as it is stored. *payload* is the stored JSON text. *last_error* says why it was parked."""

    id: str
    type: str
    payload: str
    cron: str
    timezone: str
    next_run_at: datetime
    last_run_at: datetime | None
    enabled: bool
    priority: int
    max_attempts: int
    misfire: str | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SchedulePage:
    """Schedules, oldest first; *next* is the cursor of the page behind it, None on the last one."""

    schedules: Sequence[ScheduleRecord]
    next: str | None


@dataclass(frozen=True, slots=True)
class Fire:
    """What becomes of a due schedule: a run for each time of *at*, then it waits for *next_run_at*.

    Without a *next_run_at* it is parked: switched off, with *error* for whoever looks after it.
    """

    schedule: ScheduleRecord
    at: Sequence[datetime]
    next_run_at: datetime | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Advanced:
    """The runs of the fires, and the schedules that were parked, with the reason."""

    runs: Sequence[Stored]
    parked: Mapping[str, str]


class ScheduleStore(Protocol):
    """Units of work on the schedules, each a plain function over a connection that is in a transaction.

    Those that take an id raise UnknownSchedule; a deleted schedule is unknown.
    """

    def now(self, connection: Connection) -> datetime:
        """The time by which schedules are due, in UTC: the same one all through a transaction on PostgreSQL."""
        ...

    def insert(self, connection: Connection, schedule: NewSchedule) -> str:
        """Store *schedule*, switched on; its id."""
        ...

    def get(self, connection: Connection, schedule_id: str) -> ScheduleRecord:
        """The schedule. A time in it that cannot be read is the first of the year 2, or of the year 9999."""
        ...

    def hold(self, connection: Connection, schedule_id: str) -> ScheduleRecord:
        """The schedule, which nobody else changes before this transaction ends."""
        ...

    def list(self, connection: Connection, *, type: str | None, limit: int, cursor: str | None) -> SchedulePage:  # noqa: A002 - the wire's own word
        """Schedules that match, in the order of their ids, from behind *cursor*. Raises InvalidQuery for a bad one."""
        ...

    def update(self, connection: Connection, schedule: NewSchedule) -> None:
        """Put *schedule* in place of the one with its id; it stays on or off. Clears its error."""
        ...

    def pause(self, connection: Connection, schedule_id: str) -> None:
        """Switch it off."""
        ...

    def resume(self, connection: Connection, schedule_id: str, next_run_at: datetime) -> None:
        """Switch it on, for *next_run_at*: what it missed while it was off is not made up for. Clears its error."""
        ...

    def delete(self, connection: Connection, schedule_id: str) -> None:
        """Mark it as deleted and switch it off; its runs stay."""
        ...

    def due(self, connection: Connection, limit: int) -> Sequence[ScheduleRecord]:
        """Up to *limit* schedules whose time has come, the longest due first; no other ticker gets them meanwhile.

        A row that cannot be read as a schedule is parked on the way.
        """
        ...

    def next_in(self, connection: Connection) -> float | None:
        """In how many seconds the next one is due; 0 when one is due now, None when none is switched on."""
        ...

    def advance(self, connection: Connection, fires: Sequence[Fire]) -> Advanced:
        """Store the runs of *fires* and move their schedules on; in the transaction that found them due.

        Each is a savepoint of its own: one that the database refuses is parked, and stops nobody. A run has the
        idempotency key ``schedule:<id>:<unix seconds of its fire>``, so no fire is doubled by whomever. A schedule that
        was paused, deleted or moved on meanwhile is left as it is.
        """
        ...


def runs_of(fire: Fire, ids: Callable[[], str]) -> Iterator[NewRun]:
    """The runs of *fire*: due now, in the order of their times."""
    schedule = fire.schedule
    for time in fire.at:
        yield NewRun(
            id=ids(),
            type=schedule.type,
            payload=schedule.payload,
            idempotency_key=f"schedule:{schedule.id}:{int(time.timestamp())}",
            priority=schedule.priority,
            delay=0.0,
            run_at=None,
            max_attempts=schedule.max_attempts,
        )
