"""What is read from the tables of the inbox in PostgreSQL, and what an operator changes in them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from orchestrator.contracts import Connection
from orchestrator.inbox.errors import InvalidQuery, UnknownRun
from orchestrator.inbox.machine import State
from orchestrator.inbox.store.postgres.connection import rows
from orchestrator.inbox.store.records import ACTIVE, Event, Page, RunRecord, Stats

# Python has no infinity, and nothing before the year 1; other programs' rows may.
_READABLE = "greatest('0001-01-01+00'::timestamptz, least({time}, '9999-12-31+00'::timestamptz))"
_RUN_AT, _LEASE_UNTIL = _READABLE.format(time="run_at"), _READABLE.format(time="lease_until")

_COLUMNS = f"""
id::text, type, payload::text, status, priority, {_RUN_AT}, idempotency_key, attempt, max_attempts, leased_by,
CASE WHEN lease_until IS NOT NULL THEN {_LEASE_UNTIL} END, last_error, result::text, created_at, updated_at, fence,
claims
"""

_ENDED_KEY = f"""
CASE WHEN starts_with(r.idempotency_key, '{ACTIVE}') THEN r.idempotency_key || ':' || r.id ELSE r.idempotency_key END"""

_CANCEL = """
WITH changed AS (
    UPDATE {s}workflow_run r SET status = 'cancelled', leased_by = NULL, lease_until = NULL, updated_at = {now},
        ready = true, idempotency_key = {ended_key}
    WHERE id = %(id)s::uuid RETURNING id
)
INSERT INTO {s}workflow_event (workflow_id, event_type, data, created_at)
SELECT id, %(event)s, %(data)s::jsonb, {now} FROM changed
"""

_REQUEUE = """
WITH changed AS (
    UPDATE {s}workflow_run r SET status = 'pending', leased_by = NULL, lease_until = NULL, updated_at = {now},
        ready = true, run_at = {now}, fence = r.fence + 1, claims = 0, attempt = 0,
        idempotency_key = CASE
            WHEN starts_with(r.idempotency_key, '{active}') AND right(r.idempotency_key, 37) = ':' || r.id
                AND NOT EXISTS (
                    SELECT FROM {s}workflow_run o WHERE o.idempotency_key = left(r.idempotency_key, -37)
                )
            THEN left(r.idempotency_key, -37) ELSE r.idempotency_key END
    WHERE id = %(id)s::uuid RETURNING id
)
INSERT INTO {s}workflow_event (workflow_id, event_type, data, created_at)
SELECT id, %(event)s, %(data)s::jsonb, {now} FROM changed
"""

# Each arm is one of the partial indexes, so what has ended is not read.
_ALIVE = """
SELECT type, 'pending', count(*) FROM {s}workflow_run
WHERE status = 'pending' AND ready AND deleted_at IS NULL GROUP BY type
UNION ALL
SELECT type, 'pending', count(*) FROM {s}workflow_run WHERE status = 'pending' AND NOT ready GROUP BY type
UNION ALL
SELECT type, 'leased', count(*) FROM {s}workflow_run WHERE status = 'leased' GROUP BY type
"""

_OLDEST = """
SELECT {readable} FROM (SELECT least(
    (SELECT min(run_at) FROM {s}workflow_run
     WHERE status = 'pending' AND ready AND deleted_at IS NULL AND run_at <= {now}),
    (SELECT min(run_at) FROM {s}workflow_run
     WHERE status = 'pending' AND NOT ready AND deleted_at IS NULL AND run_at <= {now})
) AS run_at) oldest WHERE run_at IS NOT NULL
"""


class Queries:
    """The statements over the tables with the name prefix *place*; *now* is the SQL expression of the time."""

    def __init__(self, place: str, now: str) -> None:
        self._run = f"{place}workflow_run"
        self._event = f"{place}workflow_event"
        parts = {"s": place, "now": now, "active": ACTIVE, "ended_key": _ENDED_KEY, "readable": _RUN_AT}
        self.cancel = _CANCEL.format(**parts)
        self.requeue = _REQUEUE.format(**parts)
        self._alive = _ALIVE.format(**parts)
        self._oldest = _OLDEST.format(**parts)

    def get(self, connection: Connection, run_id: str) -> RunRecord:
        """The run. Raises UnknownRun."""
        statement = f"SELECT {_COLUMNS} FROM {self._run} WHERE id = %(id)s::uuid AND deleted_at IS NULL"
        found = rows(connection, statement, {"id": _known(run_id)})
        if not found:
            raise UnknownRun(run_id)
        return _record(found[0])

    def state(self, connection: Connection, run_id: str) -> State:
        """The state of the run, which nobody else changes until the transaction ends. Raises UnknownRun."""
        statement = f"SELECT status FROM {self._run} WHERE id = %(id)s::uuid AND deleted_at IS NULL FOR UPDATE"
        found = rows(connection, statement, {"id": _known(run_id)})
        if not found:
            raise UnknownRun(run_id)
        return State(found[0][0])

    def by_key(self, connection: Connection, keys: Sequence[str | None]) -> dict[str | None, str]:
        """The runs that have these stored keys."""
        statement = f"SELECT idempotency_key, id::text FROM {self._run} WHERE idempotency_key = ANY (%(keys)s::text[])"
        return dict(rows(connection, statement, {"keys": list(keys)}))

    def page(
        self,
        connection: Connection,
        type: str | None,  # noqa: A002 - the wire's own word
        state: State | None,
        idempotency_key: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page:
        """Runs that match, from the greatest id down. The cursor is the id of the last one shown."""
        conditions = ["deleted_at IS NULL"]
        values: dict[str, object] = {"limit": str(limit + 1)}
        if type is not None:
            conditions.append("type = %(type)s")
            values["type"] = type
        if state is not None:
            conditions.append(f"status = '{state.value}'")  # as it stands, so that its partial index is found
        if idempotency_key is not None:
            conditions.append("idempotency_key IN (%(key)s, %(active)s)")
            values |= {"key": idempotency_key, "active": f"{ACTIVE}{idempotency_key}"}
        if cursor is not None:
            conditions.append("id < %(cursor)s::uuid")
            values["cursor"] = _place(cursor)
        where = " AND ".join(conditions)
        statement = f"SELECT {_COLUMNS} FROM {self._run} WHERE {where} ORDER BY id DESC LIMIT %(limit)s::int"
        found = [_record(row) for row in rows(connection, statement, values)]
        return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)

    def events(self, connection: Connection, run_id: str) -> Sequence[Event]:
        """The history of the run, oldest first. Raises UnknownRun."""
        statement = (
            f"SELECT id, workflow_id::text, event_type, data, created_at FROM {self._event} "
            "WHERE workflow_id = %(id)s::uuid ORDER BY id"
        )
        found = rows(connection, statement, {"id": _known(run_id)})
        if not found:
            self.get(connection, run_id)
        return [Event(id_, of, kind, data, _utc(at)) for id_, of, kind, data, at in found]

    def stats(self, connection: Connection, *, ended: bool) -> Stats:
        """How many runs are in each state, by type."""
        everything = f"SELECT type, status, count(*) FROM {self._run} GROUP BY type, status"
        counts: dict[tuple[str, State], int] = {}
        for type_, status, count in rows(connection, everything if ended else self._alive, {}):
            key = (type_, State(status))
            counts[key] = counts.get(key, 0) + count
        oldest = rows(connection, self._oldest, {})
        return Stats(counts, _utc(oldest[0][0]) if oldest else None)


def _record(row: tuple[Any, ...]) -> RunRecord:
    (id_, type_, payload, status, priority, run_at, key, attempt, max_attempts, leased_by, lease_until) = row[:11]
    (last_error, result, created_at, updated_at, fence, claims) = row[11:]
    return RunRecord(
        id=id_,
        type=type_,
        payload=payload,
        state=State(status),
        priority=priority,
        run_at=_utc(run_at),
        idempotency_key=key,
        attempt=attempt,
        max_attempts=max_attempts,
        leased_by=leased_by,
        lease_until=None if lease_until is None else _utc(lease_until),
        last_error=last_error,
        result=result,
        created_at=_utc(created_at),
        updated_at=_utc(updated_at),
        fence=fence,
        claims=claims,
    )


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


def _known(run_id: str) -> str:
    try:
        return str(UUID(run_id))
    except (ValueError, AttributeError, TypeError):  # whatever it is
        raise UnknownRun(run_id) from None


def _place(cursor: str) -> str:
    try:
        if str(UUID(cursor)) == cursor:
            return cursor
    except ValueError:
        pass
    raise InvalidQuery(f"the cursor is {cursor!r}; give the 'next' of the page before, or none for the first page")
