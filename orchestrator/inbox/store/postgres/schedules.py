"""The schedules in PostgreSQL."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from orchestrator.contracts import Connection
from orchestrator.inbox.errors import InvalidQuery, UnknownSchedule
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.postgres.connection import array, rows
from orchestrator.inbox.store.postgres.schema import prefix
from orchestrator.inbox.store.records import Stored
from orchestrator.inbox.store.schedules import Advanced, Fire, NewSchedule, SchedulePage, ScheduleRecord, runs_of
from orchestrator.inbox.wire import storable
from orchestrator.sql.postgres import native

#: Times that psycopg can read; Go writes the year 1 for "never", and both know infinity.
_READABLE = "'0002-01-01+00'::timestamptz"
_LATEST = "'9999-01-01+00'::timestamptz"

_COLUMNS = f"""
id::text, type, payload::text, schedule, timezone, greatest({_READABLE}, least(next_run_at, {_LATEST})),
CASE WHEN last_run_at IS NOT NULL THEN greatest({_READABLE}, least(last_run_at, {_LATEST})) END,
enabled, priority, max_attempts, misfire, last_error, created_at, updated_at
"""
_ON = "enabled = true AND deleted_at IS NULL"


class PostgresSchedules:
    """The port :class:`ScheduleStore` on PostgreSQL. Runs go into *store*, with ids of *ids*.

    *schema* and *now* as for :class:`PostgresStore`.
    """

    def __init__(
        self, store: Store, ids: Callable[[], str], schema: str | None = "workflow", *, now: str = "now()"
    ) -> None:
        self._store = store
        self._ids = ids
        self._table = f"{prefix(schema)}workflow_schedule"
        self._now = now

    def now(self, connection: Connection) -> datetime:
        """See :class:`ScheduleStore`."""
        time: datetime = rows(connection, f"SELECT {self._now}", {})[0][0]
        return time.astimezone(UTC)

    def insert(self, connection: Connection, schedule: NewSchedule) -> str:
        """See :class:`ScheduleStore`."""
        rows(
            connection,
            f"INSERT INTO {self._table} (id, type, payload, schedule, timezone, next_run_at, priority, max_attempts, "
            "misfire, created_at, updated_at) VALUES (%(id)s::uuid, %(type)s, %(payload)s::jsonb, %(cron)s, %(zone)s, "
            f"%(next)s, %(priority)s, %(attempts)s, %(misfire)s, {self._now}, {self._now})",
            _values(schedule),
        )
        return schedule.id

    def get(self, connection: Connection, schedule_id: str) -> ScheduleRecord:
        """See :class:`ScheduleStore`."""
        return self._get(connection, schedule_id)

    def hold(self, connection: Connection, schedule_id: str) -> ScheduleRecord:
        """See :class:`ScheduleStore`."""
        return self._get(connection, schedule_id, "FOR UPDATE")

    def list(self, connection: Connection, *, type: str | None, limit: int, cursor: str | None) -> SchedulePage:  # noqa: A002 - the wire's own word
        """See :class:`ScheduleStore`."""
        conditions, values = ["deleted_at IS NULL"], {"type": type, "limit": limit + 1, "after": cursor}
        if type is not None:
            conditions.append("type = %(type)s")
        if cursor is not None:
            _check(cursor)
            conditions.append("id > %(after)s::uuid")
        statement = f"SELECT {_COLUMNS} FROM {self._table} WHERE {' AND '.join(conditions)} ORDER BY id LIMIT %(limit)s"
        found = [_record(row) for row in rows(connection, statement, values)]
        return SchedulePage(found[:limit], found[limit - 1].id if len(found) > limit else None)

    def update(self, connection: Connection, schedule: NewSchedule) -> None:
        """See :class:`ScheduleStore`."""
        changes = (
            "type = %(type)s, payload = %(payload)s::jsonb, schedule = %(cron)s, timezone = %(zone)s, "
            "next_run_at = %(next)s, priority = %(priority)s, max_attempts = %(attempts)s, misfire = %(misfire)s, "
            "last_error = NULL"
        )
        self._change(connection, schedule.id, changes, **_values(schedule))

    def pause(self, connection: Connection, schedule_id: str) -> None:
        """See :class:`ScheduleStore`."""
        self._change(connection, schedule_id, "enabled = false")

    def resume(self, connection: Connection, schedule_id: str, next_run_at: datetime) -> None:
        """See :class:`ScheduleStore`."""
        changes = "enabled = true, last_error = NULL, next_run_at = %(next)s"
        self._change(connection, schedule_id, changes, next=next_run_at)

    def delete(self, connection: Connection, schedule_id: str) -> None:
        """See :class:`ScheduleStore`."""
        self._change(connection, schedule_id, f"enabled = false, deleted_at = {self._now}")

    def due(self, connection: Connection, limit: int) -> Sequence[ScheduleRecord]:
        """See :class:`ScheduleStore`."""
        rows(
            connection,
            f"UPDATE {self._table} SET enabled = false, updated_at = {self._now}, "
            f"last_error = 'next_run_at is ' || next_run_at || ', which no schedule means; correct it and resume' "
            f"WHERE id = ANY(ARRAY(SELECT id FROM {self._table} WHERE {_ON} AND next_run_at < {_READABLE} "
            "FOR UPDATE SKIP LOCKED))",
            {},
        )
        statement = (
            f"SELECT {_COLUMNS} FROM {self._table} WHERE {_ON} AND next_run_at <= {self._now} "
            f"AND next_run_at >= {_READABLE} ORDER BY next_run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED"
        )
        return [_record(row) for row in rows(connection, statement, {"limit": limit})]

    def next_in(self, connection: Connection) -> float | None:
        """See :class:`ScheduleStore`."""
        wait = f"greatest(0, extract(epoch FROM next_run_at - {self._now}))::float8"
        statement = (
            f"SELECT {wait} FROM {self._table} WHERE {_ON} AND isfinite(next_run_at) ORDER BY next_run_at LIMIT 1"
        )
        found = rows(connection, statement, {})
        return found[0][0] if found else None

    def advance(self, connection: Connection, fires: Sequence[Fire]) -> Advanced:
        """See :class:`ScheduleStore`."""
        parked = {fire.schedule.id: fire.error or "it has no next time" for fire in fires if fire.next_run_at is None}
        runs = self._advance(connection, [fire for fire in fires if fire.next_run_at is not None], parked)
        for schedule_id, error in parked.items():
            rows(
                connection,
                f"UPDATE {self._table} SET enabled = false, last_error = %(error)s, updated_at = {self._now} "
                "WHERE id = %(id)s::uuid",
                {"error": storable(error), "id": schedule_id},
            )
        return Advanced(list(runs), parked)

    def _advance(self, connection: Connection, fires: Sequence[Fire], parked: dict[str, str]) -> Sequence[Stored]:
        """Fire them all at once. When that is refused, halve them until the one is found that is to be parked."""
        if not fires:
            return ()
        try:
            with native(connection).transaction():
                return self._fire(connection, fires)
        except (psycopg.DataError, psycopg.IntegrityError) as refused:
            if len(fires) == 1:
                parked[fires[0].schedule.id] = refused.diag.message_primary or str(refused)
                return ()
        half = len(fires) // 2
        first = self._advance(connection, fires[:half], parked)
        return [*first, *self._advance(connection, fires[half:], parked)]

    def _fire(self, connection: Connection, fires: Sequence[Fire]) -> Sequence[Stored]:
        moved = rows(
            connection,
            f"UPDATE {self._table} AS old SET next_run_at = new.next, last_run_at = new.last, updated_at = {self._now} "
            "FROM unnest(%(ids)s::uuid[], %(next)s::timestamptz[], %(last)s::timestamptz[], %(was)s::timestamptz[]) "
            f"AS new (id, next, last, was) WHERE old.id = new.id AND {_ON} AND next_run_at = was "
            "RETURNING old.id::text",
            {
                "ids": array(fire.schedule.id for fire in fires),
                "next": array(fire.next_run_at for fire in fires),
                "last": array(fire.at[-1] if fire.at else fire.schedule.last_run_at for fire in fires),
                "was": array(fire.schedule.next_run_at for fire in fires),
            },
        )
        ids = {row[0] for row in moved}
        runs = [run for fire in fires if fire.schedule.id in ids for run in runs_of(fire, self._ids)]
        return self._store.insert(connection, runs) if runs else ()

    def _get(self, connection: Connection, schedule_id: str, lock: str = "") -> ScheduleRecord:
        statement = f"SELECT {_COLUMNS} FROM {self._table} WHERE id = %(id)s::uuid AND deleted_at IS NULL {lock}"
        found = rows(connection, statement, {"id": _known(schedule_id)})
        if not found:
            raise UnknownSchedule(schedule_id)
        return _record(found[0])

    def _change(self, connection: Connection, schedule_id: str, changes: str, **values: object) -> None:
        statement = (
            f"UPDATE {self._table} SET {changes}, updated_at = {self._now} "
            "WHERE id = %(id)s::uuid AND deleted_at IS NULL RETURNING 1"
        )
        if not rows(connection, statement, {**values, "id": _known(schedule_id)}):
            raise UnknownSchedule(schedule_id)


def _values(schedule: NewSchedule) -> dict[str, object]:
    return {
        "id": schedule.id,
        "type": schedule.type,
        "payload": schedule.payload,
        "cron": schedule.cron,
        "zone": schedule.timezone,
        "next": schedule.next_run_at,
        "priority": schedule.priority,
        "attempts": schedule.max_attempts,
        "misfire": schedule.misfire,
    }


def _record(row: tuple[Any, ...]) -> ScheduleRecord:
    (id_, type_, payload, cron, zone, next_run_at, last_run_at, enabled, priority, max_attempts, misfire) = row[:11]
    last_error, created_at, updated_at = row[11:]
    return ScheduleRecord(
        id=id_,
        type=type_,
        payload=payload,
        cron=cron,
        timezone=zone,
        next_run_at=next_run_at.astimezone(UTC),
        last_run_at=None if last_run_at is None else last_run_at.astimezone(UTC),
        enabled=enabled,
        priority=priority,
        max_attempts=max_attempts,
        misfire=misfire,
        last_error=last_error,
        created_at=created_at.astimezone(UTC),
        updated_at=updated_at.astimezone(UTC),
    )


def _known(schedule_id: str) -> str:
    try:
        return str(UUID(schedule_id))
    except ValueError:
        raise UnknownSchedule(schedule_id) from None


def _check(cursor: str) -> None:
    try:
        UUID(cursor)
    except ValueError:
        raise InvalidQuery(
            f"the cursor is {cursor!r}; give the 'next' of the page before, or none for the first"
        ) from None
