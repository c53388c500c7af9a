"""Where schedules are made and looked after."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Final

from orchestrator.contracts import Connection
from orchestrator.cron import Cron, CronError, Missed
from orchestrator.inbox.bell import Bell
from orchestrator.inbox.errors import InvalidQuery, InvalidSchedule, UnknownSchedule
from orchestrator.inbox.ids import as_stored
from orchestrator.inbox.intent import Intent
from orchestrator.inbox.schedules.expression import narrow, understood
from orchestrator.inbox.schedules.plan import MISFIRE, misfire_text
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import NewRun
from orchestrator.inbox.store.schedules import NewSchedule, SchedulePage, ScheduleRecord, ScheduleStore
from orchestrator.inbox.tables import Tables
from orchestrator.inbox.wire import PAYLOAD_LIMIT, encode

#: The most schedules on one page, and the most fires that are foretold.
MOST = 1000


class _Kept:
    """Stands for a payload that is left as it is; None is a payload."""

    def __repr__(self) -> str:
        return "KEPT"


KEPT: Final = _Kept()


class Schedules:
    """The schedules of an inbox; ``inbox.schedules``. They fire where a Ticker runs, this only keeps them.

    Times are the database's on PostgreSQL. Every method raises :class:`orchestrator.sql.SqlError` when the database
    cannot do it, and those that take an id raise UnknownSchedule.
    """

    def __init__(
        self,
        tables: Tables,
        store: ScheduleStore,
        runs: Store,
        *,
        ids: Callable[[], str],
        submitted: Callable[[], None],
        payload_limit: int = PAYLOAD_LIMIT,
    ) -> None:
        self.tables = tables
        self.store = store
        self.bell = Bell()
        """Rung when the next fire may be sooner than a ticker knows."""
        self.submitted = submitted
        """Called when runs were stored."""
        self._runs = runs
        self._ids = ids
        self._payload_limit = payload_limit

    async def create(
        self,
        type: str,  # noqa: A002 - the wire's own word
        payload: object = None,
        *,
        cron: str,
        tz: str = "UTC",
        priority: int = 100,
        max_attempts: int = 3,
        misfire: Missed | str = MISFIRE,
    ) -> str:
        """Store a schedule, switched on, and return its id. It fires for the first time after now.

        *cron* has five fields, or is ``@daily`` or its kind; *tz* is the zone whose wall clock it speaks of. *misfire*
        says what becomes of fires that passed while nobody ticked: ``skip``, ``run_once``, ``catch_up(n)``. Raises
        InvalidSchedule, InvalidIntent and InvalidPayload, with nothing stored.
        """
        when, policy = narrow(cron, tz), misfire_text(misfire)
        intent = Intent(type, payload, priority=priority, max_attempts=max_attempts)
        encoded, schedule_id = intent.encoded(self._payload_limit), self._ids()

        def work(connection: Connection) -> None:
            first = when.next(self.store.now(connection))
            new = NewSchedule(
                schedule_id, type, encoded, when.fields or "", first, when.tz, priority, max_attempts, policy
            )
            self.store.insert(connection, new)

        await self.tables.transaction(work)
        self.bell.ring()
        return schedule_id

    async def get(self, schedule_id: str) -> ScheduleRecord:
        """The schedule as it is stored."""
        known = _known(schedule_id)
        return await self.tables.read(lambda connection: self.store.get(connection, known))

    async def list(
        self,
        *,
        type: str | None = None,  # noqa: A002 - the wire's own word
        limit: int = 50,
        cursor: str | None = None,
    ) -> SchedulePage:
        """Schedules, oldest first; ``SchedulePage.next`` is the *cursor* of the page behind it. Raises InvalidQuery."""
        _check_count("limit", limit)
        for name, text in (("type", type), ("cursor", cursor)):
            if text is not None and (not isinstance(text, str) or not text.isprintable()):
                raise InvalidQuery(f"{name} is {text!r}; give a printable text, or leave it out")
        return await self.tables.read(
            lambda connection: self.store.list(connection, type=type, limit=limit, cursor=cursor)
        )

    async def pause(self, schedule_id: str) -> None:
        """Switch it off. What would have fired until :meth:`resume` is not made up for."""
        known = _known(schedule_id)
        await self.tables.transaction(lambda connection: self.store.pause(connection, known))

    async def resume(self, schedule_id: str) -> None:
        """Switch it on; it fires for the first time after now. One that is on stays as it is.

        Raises InvalidSchedule for a row of another program that cannot be understood.
        """
        known = _known(schedule_id)

        def work(connection: Connection) -> None:
            schedule = self.store.hold(connection, known)
            if not schedule.enabled:
                self.store.resume(connection, known, _cron(schedule).next(self.store.now(connection)))

        await self.tables.transaction(work)
        self.bell.ring()

    async def delete(self, schedule_id: str) -> None:
        """It fires no more and is unknown from now on. Its runs stay."""
        known = _known(schedule_id)
        await self.tables.transaction(lambda connection: self.store.delete(connection, known))

    async def update(
        self,
        schedule_id: str,
        *,
        payload: object = KEPT,
        cron: str | None = None,
        tz: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        misfire: Missed | str | None = None,
    ) -> None:
        """Change what is given. With another *cron* or *tz* it waits for its first fire after now. Clears its error.

        One that is off stays off. Raises as :meth:`create` does, with nothing changed.
        """
        known = _known(schedule_id)
        encoded = None if payload is KEPT else encode(payload, f"schedule {known}: the payload", self._payload_limit)
        policy = None if misfire is None else misfire_text(misfire)
        Intent(  # it knows which numbers are right
            "schedule",
            priority=100 if priority is None else priority,
            max_attempts=3 if max_attempts is None else max_attempts,
        )

        def work(connection: Connection) -> None:
            was = self.store.hold(connection, known)
            new = NewSchedule(
                id=known,
                type=was.type,
                payload=was.payload if encoded is None else encoded,
                cron=was.cron,
                next_run_at=was.next_run_at,
                timezone=was.timezone,
                priority=was.priority if priority is None else priority,
                max_attempts=was.max_attempts if max_attempts is None else max_attempts,
                misfire=was.misfire if policy is None else policy,
            )
            if cron is not None or tz is not None:
                when = _changed(was, cron, tz)
                first = when.next(self.store.now(connection))
                new = replace(new, cron=when.fields or "", timezone=when.tz, next_run_at=first)
            self.store.update(connection, new)

        await self.tables.transaction(work)
        self.bell.ring()

    async def trigger(self, schedule_id: str) -> str:
        """Submit its intent now, whether it is on or off, and return the run's id. Its next fire stays where it is."""
        known = _known(schedule_id)

        def work(connection: Connection) -> str:
            schedule = self.store.get(connection, known)
            run_id = self._ids()
            run = NewRun(
                id=run_id,
                type=schedule.type,
                payload=schedule.payload,
                idempotency_key=f"schedule:{known}:trigger:{run_id}",
                priority=schedule.priority,
                delay=0.0,
                run_at=None,
                max_attempts=schedule.max_attempts,
            )
            return self._runs.insert(connection, [run])[0].id

        run_id = await self.tables.transaction(work)
        self.submitted()
        return run_id

    async def next_fires(self, schedule_id: str, count: int = 5) -> Sequence[datetime]:
        """The next *count* times at which it fires, in UTC; when it is off, those that it would have if it were on.

        Raises InvalidQuery, and InvalidSchedule for a row of another program that cannot be understood.
        """
        known = _known(schedule_id)
        _check_count("count", count)
        schedule, now = await self.tables.read(
            lambda connection: (self.store.get(connection, known), self.store.now(connection))
        )
        cron = _cron(schedule)
        waits = schedule.enabled and schedule.next_run_at > now
        ahead = [schedule.next_run_at] if waits else []
        after = schedule.next_run_at if waits else now
        return [*ahead, *islice(cron.fires(after), count - len(ahead))]


def _cron(schedule: ScheduleRecord) -> Cron:
    try:
        return understood(schedule.cron, schedule.timezone)
    except CronError as error:
        raise InvalidSchedule(f"schedule {schedule.id}: {error}; give it another cron with update") from error


def _changed(schedule: ScheduleRecord, text: str | None, tz: str | None) -> Cron:
    try:
        was = understood(schedule.cron, schedule.timezone)
        fields, zone = was.fields or "", was.tz
    except CronError:  # what is given may put it right
        fields, zone = schedule.cron, schedule.timezone or "UTC"
    return narrow(fields if text is None else text, zone if tz is None else tz)


def _known(schedule_id: str) -> str:
    known = as_stored(schedule_id)
    if known is None:
        raise UnknownSchedule(schedule_id)
    return known


def _check_count(name: str, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise InvalidQuery(f"{name} is {count!r}; give a whole number from 1 to {MOST}")
