"""What is read from the tables of the inbox in SQLite."""

from collections.abc import Mapping, Sequence

from orchestrator.contracts import Connection, JsonValue, Row
from orchestrator.inbox.errors import InvalidQuery, UnknownRun
from orchestrator.inbox.machine import State
from orchestrator.inbox.store.records import ACTIVE, Event, Page, RunRecord, Stats
from orchestrator.inbox.wire import decode, from_text, is_text

# As blobs, for another program may have stored text that is no UTF-8, and one such row must not hide the others.
_COLUMNS = """
rowid AS place, id, type, CAST(payload AS BLOB) AS payload, status, priority, run_at, idempotency_key, attempt,
max_attempts, leased_by, lease_until, CAST(last_error AS BLOB) AS last_error, CAST(result AS BLOB) AS result,
created_at, updated_at, fence, claims
"""

_EVERYTHING = "SELECT type, status, count(*) FROM workflow_run GROUP BY type, status"

# Each arm is one of the partial indexes, so what has ended is not read.
_ALIVE = """
SELECT type, 'pending', count(*) FROM workflow_run
WHERE status = 'pending' AND ready = 1 AND deleted_at IS NULL GROUP BY type
UNION ALL SELECT type, 'pending', count(*) FROM workflow_run WHERE status = 'pending' AND ready = 0 GROUP BY type
UNION ALL SELECT type, 'leased', count(*) FROM workflow_run WHERE status = 'leased' GROUP BY type
"""
_OLDEST = """
SELECT min(run_at) FROM workflow_run
WHERE status = 'pending' AND ready = 1 AND deleted_at IS NULL AND run_at <= :now
UNION ALL SELECT min(run_at) FROM workflow_run
WHERE status = 'pending' AND ready = 0 AND deleted_at IS NULL AND run_at <= :now
"""


def get(connection: Connection, run_id: str) -> RunRecord:
    """The run. Raises UnknownRun."""
    if not is_text(run_id):
        raise UnknownRun(run_id)
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM workflow_run WHERE id = ? AND deleted_at IS NULL", (run_id,)
    ).fetchone()
    if row is None:
        raise UnknownRun(run_id)
    return _record(row)


def page(
    connection: Connection,
    wanted: Mapping[str, str | None],
    idempotency_key: str | None,
    limit: int,
    cursor: str | None,
) -> Page:
    """Runs whose columns are as *wanted* (None: any), newest first. The cursor is the place of the last one shown."""
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise InvalidQuery(f"the cursor is {cursor!r}; give the 'next' of the page before, or none for the first page")
    conditions = [(f"{column} = ?", value) for column, value in wanted.items() if value is not None]
    if idempotency_key is not None:
        conditions.append(("idempotency_key IN (?, ?)", idempotency_key))
        conditions.append(("", f"{ACTIVE}{idempotency_key}"))
    if cursor is not None:
        conditions.append(("rowid < ?", cursor))
    where = " AND ".join(["deleted_at IS NULL", *(condition for condition, _ in conditions if condition)])
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM workflow_run WHERE {where} ORDER BY rowid DESC LIMIT ?",
        (*(value for _, value in conditions), limit + 1),
    ).fetchall()
    more = len(rows) > limit
    return Page([_record(row) for row in rows[:limit]], str(rows[limit - 1]["place"]) if more else None)


def events(connection: Connection, run_id: str) -> Sequence[Event]:
    """The history of the run, oldest first. Raises UnknownRun."""
    if not is_text(run_id):
        raise UnknownRun(run_id)
    rows = connection.execute(
        "SELECT id, workflow_id, event_type, CAST(data AS BLOB) AS data, created_at FROM workflow_event "
        "WHERE workflow_id = ? ORDER BY id",
        (run_id,),
    ).fetchall()
    if not rows:
        get(connection, run_id)
    return [
        Event(row["id"], row["workflow_id"], row["event_type"], _data(row["data"]), from_text(row[4])) for row in rows
    ]


def stats(connection: Connection, now: str, *, ended: bool) -> Stats:
    """How many runs are in each state, by type."""
    counts: dict[tuple[str, State], int] = {}
    for row in connection.execute(_EVERYTHING if ended else _ALIVE).fetchall():
        key = (row[0], State(row[1]))
        counts[key] = counts.get(key, 0) + row[2]
    due = [row[0] for row in connection.execute(_OLDEST, {"now": now}).fetchall() if row[0] is not None]
    return Stats(counts, from_text(min(due)) if due else None)


def _record(row: Row) -> RunRecord:
    lease = row["lease_until"]
    return RunRecord(
        id=row["id"],
        type=row["type"],
        payload=_text(row["payload"]) or "",
        state=State(row["status"]),
        priority=row["priority"],
        run_at=from_text(row["run_at"]),
        idempotency_key=row["idempotency_key"],
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        leased_by=row["leased_by"],
        lease_until=None if lease is None else from_text(lease),
        last_error=_text(row["last_error"]),
        result=_text(row["result"]),
        created_at=from_text(row["created_at"]),
        updated_at=from_text(row["updated_at"]),
        fence=row["fence"],
        claims=row["claims"],
    )


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode("utf-8", "replace")


def _data(stored: bytes | None) -> JsonValue:
    try:
        return None if stored is None else decode(stored)
    except ValueError:
        return _text(stored)
