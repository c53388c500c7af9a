"""Floors: what PostgreSQL and its driver cost when nothing else is there. On our tables, with our event rows."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count as counter
from typing import Any

import anyio
import anyio.lowlevel
import psycopg
from anyio import to_thread

from benchmarks.inbox.system import Client, Go
from benchmarks.inbox.systems.longrun import KIND, Longrun
from benchmarks.inbox.tally import Tally
from orchestrator.inbox.ids import RunIds
from orchestrator.inbox.store.postgres.store import PostgresStore
from orchestrator.inbox.store.records import ClaimRequest, Settled, Succeeded

PLANS = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"

_EVENT = "INSERT INTO workflow.workflow_event (workflow_id, event_type, data, created_at)"
#: Complete what was claimed before, claim the next batch, and write the three events of each run. In this order: who
#: claims holds locks for which others wait that complete, and may wait itself for the newest version of a row.
FUSED = f"""
WITH done AS (
    UPDATE workflow.workflow_run r SET status = 'succeeded', leased_by = NULL, lease_until = NULL,
        result = 'null', updated_at = now()
    FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[]) AS o(id, fence)
    WHERE r.id = o.id AND r.status || '' = 'leased' AND r.leased_by || '' = 'floor' AND r.fence + 0 = o.fence
    RETURNING r.id
),
claimed AS (
    UPDATE workflow.workflow_run r SET status = 'leased', leased_by = 'floor', fence = fence + 1, claims = claims + 1,
        lease_until = now() + interval '30 seconds', updated_at = now()
    WHERE r.ctid = ANY (ARRAY(
        SELECT ctid FROM workflow.workflow_run
        WHERE status = 'pending' AND ready AND deleted_at IS NULL AND type COLLATE "C" = %(kind)s AND run_at <= now()
            AND (SELECT count(*) FROM done) >= 0
        ORDER BY priority, run_at, id LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED
    ))
    RETURNING r.id, r.fence, r.type, r.payload, r.attempt
),
event AS (
    {_EVENT}
    SELECT id, 'succeeded', NULL::jsonb, now() FROM done
    UNION ALL SELECT id, 'leased', '{{"worker_id": "floor", "attempt": 0}}'::jsonb, now() FROM claimed
    UNION ALL SELECT id, 'started', '{{"worker_id": "floor"}}'::jsonb, now() FROM claimed
)
SELECT id::text, fence, type, payload::text, attempt FROM claimed
"""
_STORE = """
WITH stored AS (
    INSERT INTO workflow.workflow_run (id, type, payload)
    SELECT id, %(kind)s, payload FROM unnest(%(ids)s::uuid[], %(payloads)s::jsonb[]) AS n(id, payload) RETURNING id
),
event AS (INSERT INTO workflow.workflow_event (workflow_id, event_type) SELECT id, 'created' FROM stored)
SELECT {tell} FROM stored
"""
STORE = _STORE.format(tell="count(*)")
STORE_AND_TELL = _STORE.format(tell="pg_notify('bench', '')")


async def noop(_: Any) -> None:
    """What a handler is."""


class Floor(Longrun):
    """One statement for each *batch* on one connection, without pool, leases, heartbeats, limits or errors."""

    def __init__(self, url: str, batch: int = 250) -> None:
        super().__init__(url)
        self._batch = batch

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """Rows stored by SQL, on one connection for each task that is at it."""
        free: list[psycopg.AsyncConnection[Any]] = []
        client = _Client(self._url, free)
        try:
            yield client
        finally:
            for connection in free:
                await connection.close()

    async def work(self, tally: Tally, go: Go) -> None:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, prepare_threshold=0, options=PLANS
        )
        listener = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
        await listener.execute("LISTEN bench")
        await go()
        while True:
            ids: list[str] = []
            fences: list[str] = []
            while True:
                values = {"ids": _array(ids), "fences": _array(fences), "kind": KIND, "limit": str(self._batch)}
                rows = await (await connection.execute(FUSED, values)).fetchall()
                if not rows and not ids:
                    break
                for row in rows:
                    await noop(row[3])
                    tally.hit()
                ids, fences = [row[0] for row in rows], [str(row[1]) for row in rows]
            async for _ in listener.notifies(stop_after=1):
                pass


class _Client:
    def __init__(self, url: str, free: list[psycopg.AsyncConnection[Any]]) -> None:
        self._url = url
        self._free = free
        self._made = counter()
        self._ids = RunIds(_utc)
        self.statement = STORE

    async def submit(self) -> None:
        await self._store(1)

    async def submit_many(self, count: int) -> None:
        await self._store(count)

    async def _store(self, count: int) -> None:
        if self._free:
            connection = self._free.pop()
        else:
            connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, prepare_threshold=0)
        payloads = [json.dumps({"i": next(self._made), "tenant": "t00000"}) for _ in range(count)]
        values = {"kind": KIND, "ids": _array([self._ids() for _ in range(count)]), "payloads": payloads}
        await connection.execute(self.statement, values)
        self._free.append(connection)


class Notified(Floor):
    """The same, with a notification in the transaction of each submit."""

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with super().client() as client:
            assert isinstance(client, _Client)
            client.statement = STORE_AND_TELL
            yield client


class Coalesced(Floor):
    """Submits that come together share a statement: the floor of such a client, with nothing checked."""

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with super().client() as client, anyio.create_task_group() as tg:
            shared = _Shared(client)
            tg.start_soon(shared.write)
            yield shared
            tg.cancel_scope.cancel()


class _Shared:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: list[anyio.Event] = []
        self._some = anyio.Event()

    async def submit(self) -> None:
        done = anyio.Event()
        self._waiting.append(done)
        self._some.set()
        await done.wait()

    async def submit_many(self, count: int) -> None:
        await self._client.submit_many(count)

    async def write(self) -> None:
        while True:
            await self._some.wait()
            waiting, self._waiting, self._some = self._waiting, [], anyio.Event()
            await self._client.submit_many(len(waiting))
            for done in waiting:
                done.set()
            await anyio.lowlevel.checkpoint()


class StoreLoop(Floor):
    """Our own store in a bare loop: what is left of our drain without pool, poller and attempts."""

    async def work(self, tally: Tally, go: Go) -> None:
        connection = await to_thread.run_sync(lambda: psycopg.connect(self._url, prepare_threshold=0))
        await go()
        await to_thread.run_sync(self._turns, connection, tally)
        await anyio.sleep_forever()

    def _turns(self, connection: psycopg.Connection[Any], tally: Tally) -> None:
        store = PostgresStore()
        request = ClaimRequest("floor", [KIND], self._batch, 30.0)
        outcomes: list[Settled] = []
        while True:
            turn = store.turn(connection, outcomes, request)  # type: ignore[arg-type] # a connection of psycopg is one
            connection.commit()
            for _ in turn.claimed:
                tally.hit()
            outcomes = [Settled(run.hold, Succeeded("null")) for run in turn.claimed]
            if not outcomes:
                return


def _array(values: list[str]) -> str:
    return "{" + ",".join(values) + "}"


def _utc() -> datetime:
    return datetime.now(UTC)
