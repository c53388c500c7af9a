"""Which runs a claim takes in SQLite: one ordered walk of the index for each type, merged as far as is needed."""

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice

from orchestrator.contracts import Connection, Row
from orchestrator.inbox.store.records import ClaimRequest

_DUE = "status = 'pending' AND ready = 1 AND deleted_at IS NULL"
_COLUMNS = "id, type, CAST(payload AS BLOB) AS payload, priority, run_at, attempt, max_attempts, fence, claims"
_BY_PRIORITY = f"""
SELECT {_COLUMNS} FROM workflow_run INDEXED BY orchestrator_run_claim
WHERE {_DUE} AND type = ? AND run_at <= ? ORDER BY priority, run_at, id LIMIT ?
"""
_BY_AGE = f"""
SELECT {_COLUMNS} FROM workflow_run INDEXED BY orchestrator_run_age
WHERE {_DUE} AND type = ? AND run_at <= ? ORDER BY run_at, id LIMIT ?
"""
_HELD = "SELECT count(*) FROM workflow_run INDEXED BY orchestrator_run_lease WHERE status = 'leased' AND type = ?"
_OFF = "SELECT workflow_name FROM workflow_registry WHERE is_enabled = 0 AND deleted_at IS NULL"
_NEXT_TYPE = f"SELECT type FROM workflow_run WHERE {_DUE} AND type {{beyond}} ? AND type < ? ORDER BY type LIMIT 1"


def due(connection: Connection, request: ClaimRequest, now: str) -> Sequence[Row]:
    """The runs that *request* takes, in its order."""
    off = {row[0] for row in connection.execute(_OFF).fetchall()}
    types = dict.fromkeys(request.types)
    for prefix in request.prefixes:
        types.update(dict.fromkeys(kind for kind in _kinds(connection, prefix) if kind not in request.excluded))
    caps = dict(request.caps)
    for kind in types:
        if kind in request.totals:
            caps[kind] = min(caps.get(kind, request.limit), request.totals[kind] - _held(connection, kind))
    query = _BY_AGE if request.oldest_first else _BY_PRIORITY
    walks = [
        connection.execute(query, (kind, now, min(request.limit, caps.get(kind, request.limit))))
        for kind in types
        if kind not in off and caps.get(kind, 1) > 0
    ]
    return list(islice(merge(*walks, key=_age if request.oldest_first else _priority), request.limit))


def _held(connection: Connection, kind: str) -> int:
    row = connection.execute(_HELD, (kind,)).fetchone()
    return 0 if row is None else int(row[0])


def _kinds(connection: Connection, prefix: str) -> Iterator[str]:
    high = f"{prefix}\U0010ffff"
    row = connection.execute(_NEXT_TYPE.format(beyond=">="), (prefix, high)).fetchone()
    while row is not None:  # one search for each distinct type of the backlog
        yield row[0]
        row = connection.execute(_NEXT_TYPE.format(beyond=">"), (row[0], high)).fetchone()


def _priority(row: Row) -> tuple[object, ...]:
    return row["priority"], row["run_at"], row["id"]


def _age(row: Row) -> tuple[object, ...]:
    return row["run_at"], row["id"]
