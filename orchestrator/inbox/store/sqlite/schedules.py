"""The schedules in SQLite."""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from orchestrator.contracts import Connection, Row
from orchestrator.inbox.errors import InboxError, InvalidQuery, UnknownSchedule
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import Stored
from orchestrator.inbox.store.schedules import Advanced, Fire, NewSchedule, SchedulePage, ScheduleRecord, runs_of
from orchestrator.inbox.wire import from_text, storable, to_text

_COLUMNS = """
id, type, CAST(payload AS BLOB) AS payload, schedule, timezone, next_run_at, last_run_at, enabled, priority,
max_attempts, misfire, last_error, created_at, updated_at
"""
_ON = "enabled = 1 AND deleted_at IS NULL"
_INSERT = """
INSERT INTO workflow_schedule (id, type, payload, schedule, timezone, next_run_at, priority, max_attempts, misfire,
created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class SqliteSchedules:
    """The port :class:`ScheduleStore` on SQLite. Runs go into *store*, with ids of *ids*; *now* is the clock."""

    def __init__(
        self, store: Store, ids: Callable[[], str], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._ids = ids
        self._now = now

    def now(self, connection: Connection) -> datetime:  # noqa: ARG002 - SQLite's own clock has no microseconds
        """See :class:`ScheduleStore`."""
        return self._now().astimezone(UTC)

    def insert(self, connection: Connection, schedule: NewSchedule) -> str:
        """See :class:`ScheduleStore`."""
        now, first = to_text(self._now()), to_text(schedule.next_run_at)
        what = (schedule.id, schedule.type, schedule.payload, schedule.cron, schedule.timezone, first)
        how = (schedule.priority, schedule.max_attempts, schedule.misfire)
        connection.execute(_INSERT, (*what, *how, now, now))
        return schedule.id

    def get(self, connection: Connection, schedule_id: str) -> ScheduleRecord:
        """See :class:`ScheduleStore`."""
        query = f"SELECT {_COLUMNS} FROM workflow_schedule WHERE id = ? AND deleted_at IS NULL"
        row = connection.execute(query, (schedule_id,)).fetchone()
        if row is None:
            raise UnknownSchedule(schedule_id)
        return _record(row, _legible)

    def hold(self, connection: Connection, schedule_id: str) -> ScheduleRecord:
        """See :class:`ScheduleStore`; a transaction has the whole database for itself."""
        return self.get(connection, schedule_id)

    def list(self, connection: Connection, *, type: str | None, limit: int, cursor: str | None) -> SchedulePage:  # noqa: A002 - the wire's own word
        """See :class:`ScheduleStore`."""
        if cursor is not None and not cursor:
            raise InvalidQuery(f"the cursor is {cursor!r}; give the 'next' of the page before, or none for the first")
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM workflow_schedule WHERE deleted_at IS NULL AND (:type IS NULL OR type = :type) "
            "AND id > :after ORDER BY id LIMIT :limit",
            {"type": type, "after": cursor or "", "limit": limit + 1},
        ).fetchall()
        return SchedulePage(
            [_record(row, _legible) for row in rows[:limit]], rows[limit - 1]["id"] if len(rows) > limit else None
        )

    def update(self, connection: Connection, schedule: NewSchedule) -> None:
        """See :class:`ScheduleStore`."""
        self._change(
            connection,
            schedule.id,
            "type = :type, payload = :payload, schedule = :cron, timezone = :zone, next_run_at = :next, "
            "priority = :priority, max_attempts = :attempts, misfire = :misfire, last_error = NULL",
            type=schedule.type,
            payload=schedule.payload,
            cron=schedule.cron,
            zone=schedule.timezone,
            next=to_text(schedule.next_run_at),
            priority=schedule.priority,
            attempts=schedule.max_attempts,
            misfire=schedule.misfire,
        )

    def pause(self, connection: Connection, schedule_id: str) -> None:
        """See :class:`ScheduleStore`."""
        self._change(connection, schedule_id, "enabled = 0")

    def resume(self, connection: Connection, schedule_id: str, next_run_at: datetime) -> None:
        """See :class:`ScheduleStore`."""
        changes = "enabled = 1, last_error = NULL, next_run_at = :next"
        self._change(connection, schedule_id, changes, next=to_text(next_run_at))

    def delete(self, connection: Connection, schedule_id: str) -> None:
        """See :class:`ScheduleStore`."""
        self._change(connection, schedule_id, "enabled = 0, deleted_at = :now")

    def due(self, connection: Connection, limit: int) -> Sequence[ScheduleRecord]:
        """See :class:`ScheduleStore`."""
        query = (
            f"SELECT {_COLUMNS} FROM workflow_schedule WHERE {_ON} AND next_run_at <= ? ORDER BY next_run_at LIMIT ?"
        )
        while True:
            found, refused = [], False
            for row in connection.execute(query, (to_text(self._now()), limit)).fetchall():
                try:
                    found.append(_record(row))
                except (InboxError, ValueError) as error:
                    refused = True
                    self._park(connection, row["id"], str(error))
            if not refused:  # else they stood in the way of others, so look again
                return found

    def next_in(self, connection: Connection) -> float | None:
        """See :class:`ScheduleStore`."""
        row = connection.execute(f"SELECT min(next_run_at) FROM workflow_schedule WHERE {_ON}").fetchone()
        if row is None or row[0] is None:
            return None
        try:
            return max(0.0, (from_text(row[0]) - self._now()).total_seconds())
        except InboxError:  # due() parks it
            return 0.0

    def advance(self, connection: Connection, fires: Sequence[Fire]) -> Advanced:
        """See :class:`ScheduleStore`."""
        runs: list[Stored] = []
        parked: dict[str, str] = {}
        for fire in fires:
            error = fire.error or "it has no next time"
            if fire.next_run_at is not None:
                connection.execute("SAVEPOINT orchestrator_schedule")
                try:
                    runs += self._fire(connection, fire, fire.next_run_at)
                except (sqlite3.IntegrityError, sqlite3.DataError) as refused:
                    connection.execute("ROLLBACK TO orchestrator_schedule")
                    connection.execute("RELEASE orchestrator_schedule")
                    error = str(refused)
                else:  # any other error ends the whole transaction, and may have ended it already
                    connection.execute("RELEASE orchestrator_schedule")
                    continue
            parked[fire.schedule.id] = error
            self._park(connection, fire.schedule.id, error)
        return Advanced(runs, parked)

    def _fire(self, connection: Connection, fire: Fire, next_run_at: datetime) -> Sequence[Stored]:
        last = fire.at[-1] if fire.at else fire.schedule.last_run_at
        moved = connection.execute(
            f"UPDATE workflow_schedule SET next_run_at = ?, last_run_at = ?, updated_at = ? WHERE id = ? AND {_ON} "
            "AND next_run_at = ?",
            (
                to_text(next_run_at),
                None if last is None else to_text(last),
                to_text(self._now()),
                fire.schedule.id,
                self._stored_time(connection, fire.schedule),
            ),
        )
        return self._store.insert(connection, list(runs_of(fire, self._ids))) if moved.rowcount else ()

    def _stored_time(self, connection: Connection, schedule: ScheduleRecord) -> str | None:
        # Other programs write the same time in their own way, so it is compared as a time.
        row = connection.execute("SELECT next_run_at FROM workflow_schedule WHERE id = ?", (schedule.id,)).fetchone()
        return str(row[0]) if row is not None and from_text(row[0]) == schedule.next_run_at else None

    def _park(self, connection: Connection, schedule_id: str, error: str) -> None:
        connection.execute(
            "UPDATE workflow_schedule SET enabled = 0, last_error = ?, updated_at = ? WHERE id = ?",
            (storable(error), to_text(self._now()), schedule_id),
        )

    def _change(self, connection: Connection, schedule_id: str, changes: str, **values: object) -> None:
        done = connection.execute(
            f"UPDATE workflow_schedule SET {changes}, updated_at = :now WHERE id = :id AND deleted_at IS NULL",
            {**values, "now": to_text(self._now()), "id": schedule_id},
        )
        if not done.rowcount:
            raise UnknownSchedule(schedule_id)


def _legible(text: str) -> datetime:
    try:
        return from_text(text)
    except (InboxError, ValueError, OverflowError):
        return datetime(2, 1, 1, tzinfo=UTC)


def _record(row: Row, time: Callable[[str], datetime] = from_text) -> ScheduleRecord:
    last = row["last_run_at"]
    return ScheduleRecord(
        id=row["id"],
        type=row["type"],
        payload=bytes(row["payload"]).decode("utf-8", "replace"),
        cron=row["schedule"],
        timezone=row["timezone"],
        next_run_at=time(row["next_run_at"]),
        last_run_at=None if last is None else time(last),
        enabled=bool(row["enabled"]),
        priority=row["priority"],
        max_attempts=row["max_attempts"],
        misfire=row["misfire"],
        last_error=row["last_error"],
        created_at=time(row["created_at"]),
        updated_at=time(row["updated_at"]),
    )
