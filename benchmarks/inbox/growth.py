"""What a busy worker's turn costs when the tables are large: our store's own statements, on one connection.

Commits do not wait for the disk, whose moods would hide what is looked for.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from benchmarks.inbox.ground import used
from benchmarks.inbox.load import Load
from benchmarks.inbox.making import make
from benchmarks.inbox.scenarios import Figures
from benchmarks.inbox.systems.longrun import KIND
from benchmarks.scheduler.recorder import quantile
from orchestrator.inbox.store.postgres.store import PostgresStore
from orchestrator.inbox.store.records import ClaimRequest, Settled, Succeeded

#: Runs in a turn, and turns that are taken, where the condition does not say otherwise.
BATCH, TURNS = 250, 40

_ID = "(%(prefix)s || '-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid"
_ENDED = f"""
WITH r AS (
    INSERT INTO workflow.workflow_run (id, type, payload, status, result, fence, claims, run_at, created_at, updated_at)
    SELECT {_ID}, %(kind)s, '{{"i": 1, "tenant": "t00000"}}', 'succeeded', 'null', 1, 1, t, t, t
    FROM (SELECT i, now() - interval '1 day' + i * interval '1 millisecond' AS t FROM generate_series(1, %(count)s) i) n
    RETURNING id
)
INSERT INTO workflow.workflow_event (workflow_id, event_type) SELECT id, 'succeeded' FROM r
"""
_WAITING = f"""
WITH r AS (
    INSERT INTO workflow.workflow_run (id, type, payload, priority, run_at, ready)
    SELECT {_ID}, %(kind)s, '{{"i": 1, "tenant": "t00000"}}', %(priority)s,
        now() + %(hours)s * interval '1 hour' + i * interval '1 millisecond', %(hours)s < 0
    FROM generate_series(1, %(count)s) i RETURNING id
)
INSERT INTO workflow.workflow_event (workflow_id, event_type) SELECT id, 'created' FROM r
"""


async def turns(load: Load) -> Figures:
    """Milliseconds for a turn: settle its runs, claim the next. *load.condition* is like ``ended=1000 pending=20000``.

    ``future`` runs are due tomorrow and more urgent than the others. ``whole``: until nothing is left to claim.
    ``snapshot``: another session holds one, so that nothing which is dead can be cleaned away.
    """
    await make(load).install()
    have = {name: int(number) for name, number in (part.split("=") for part in load.condition.split())}
    with psycopg.connect(load.url, autocommit=True) as connection:
        _store(connection, _ENDED, "0a000000", have.get("ended", 0))
        _store(connection, _WAITING, "0b000000", have.get("future", 0), priority=1, hours=24)
        _store(connection, _WAITING, "0c000000", have["pending"], priority=100, hours=-48)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    batch = have.get("batch", BATCH)
    count = have["pending"] // batch - 2 if have.get("whole") else TURNS
    with _snapshot(load.url, bool(have.get("snapshot"))):
        taken, server_s = _drain(load.url, count, batch)
    taken.sort()
    figures = {"turn_ms": quantile(taken, 0.5), "p95_ms": quantile(taken, 0.95), "mean_ms": sum(taken) / len(taken)}
    return figures if server_s is None else {**figures, "server_ms": server_s / len(taken) * 1000}


def _store(connection: psycopg.Connection[Any], statement: str, prefix: str, count: int, **values: object) -> None:
    if count:
        connection.execute(statement, {"prefix": prefix, "kind": KIND, "count": count, **values})


@contextmanager
def _snapshot(url: str, held: bool) -> Iterator[None]:
    if not held:
        yield
        return
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT count(*) FROM workflow.workflow_run WHERE false")
        yield


def _drain(url: str, count: int, batch: int) -> tuple[list[float], float | None]:
    # How long each took, and the CPU seconds of the server's process.
    store, outcomes, taken = PostgresStore(), list[Settled](), []
    request = ClaimRequest("growth", [KIND], batch, 30.0)
    with psycopg.connect(url, prepare_threshold=0, options="-c synchronous_commit=off") as connection:
        before = None
        for number in range(count + 1):
            if number == 1:  # the first plans
                before = used(connection.info.backend_pid)
            began = time.perf_counter()
            turn = store.turn(connection, outcomes, request)  # type: ignore[arg-type] # a connection of psycopg is one
            connection.commit()
            taken.append((time.perf_counter() - began) * 1000)
            outcomes = [Settled(run.hold, Succeeded("null")) for run in turn.claimed]
            if len(outcomes) < batch:
                raise RuntimeError(f"a turn claimed {len(outcomes)} of {batch}")
        after = used(connection.info.backend_pid)
    return taken[1:], None if before is None or after is None else after - before
