"""The store on PostgreSQL. Times come from the database's clock: that of the transaction's begin."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg.errors import UniqueViolation

from orchestrator.contracts import Connection
from orchestrator.inbox.errors import AlreadyFinished, InboxError
from orchestrator.inbox.machine import EVENTS, TRANSITIONS, Move, State
from orchestrator.inbox.store.direct import Query
from orchestrator.inbox.store.postgres.connection import rows, settings
from orchestrator.inbox.store.postgres.queries import Queries
from orchestrator.inbox.store.postgres.schema import prefix, steps
from orchestrator.inbox.store.postgres.statements import (
    KEYED_SESSION,
    PLANS,
    SESSION,
    SETTLING,
    SETTLING_SESSION,
    Statements,
)
from orchestrator.inbox.store.postgres.values import (
    RUN_ID,
    as_json,
    claimed_of,
    hold_values,
    ids_of,
    known_of,
    left_of,
    new_values,
    settled_values,
    shape_of,
    total_values,
    wanted_values,
    within_caps,
)
from orchestrator.inbox.store.records import (
    Claimed,
    ClaimRequest,
    Event,
    Hold,
    NewRun,
    Page,
    Promoted,
    Renewal,
    RunRecord,
    Settled,
    Stats,
    Stored,
    Swept,
    Turn,
    ended,
)
from orchestrator.sql.postgres import native

#: Runs in one statement of :meth:`PostgresStore.insert`.
CHUNK = 1000

#: How often an insert looks for runs that had its key a moment ago and were deleted meanwhile.
_LOOKS = 5


class PostgresStore:
    """The port :class:`orchestrator.inbox.Store` on PostgreSQL 13 or newer, in READ COMMITTED transactions.

    *schema*: where the tables are; None leaves it to the search_path of each connection. *now*: the SQL expression of
    the time, which does not change within a transaction. A connection is that of a unit of work, one of psycopg, or an
    SQLAlchemy session on it.

    A transaction that begins with a claim commits without waiting for the disk; outcomes join it by :meth:`turn`.
    """

    def __init__(self, schema: str | None = "workflow", *, now: str = "now()") -> None:
        self.steps: Sequence[str] = steps(schema)
        self._schema = prefix(schema)
        self._now = now
        self._statements = Statements(self._schema, now)
        self._queries = Queries(self._schema, now)

    def insert(self, connection: Connection, runs: Sequence[NewRun]) -> Sequence[Stored]:
        """See :class:`Store`."""
        found: dict[str, Stored] = {}
        ordered = sorted(runs, key=lambda run: run.stored_key or "")
        for start in range(0, len(ordered), CHUNK):
            self._insert(connection, ordered[start : start + CHUNK], found)
        return [found[run.id] for run in runs]

    @property
    def session(self) -> str:
        """See :class:`Direct`."""
        return SESSION

    @property
    def settling(self) -> str:
        """See :class:`Direct`."""
        return SETTLING_SESSION

    @property
    def keyed(self) -> str:
        """See :class:`Direct`."""
        return KEYED_SESSION

    def inserting(self, runs: Sequence[NewRun]) -> Query[frozenset[str]]:
        """See :class:`Direct`."""
        if all(run.idempotency_key is None for run in runs):
            return Query(self._statements.insert_without_keys, new_values(runs), ids_of)
        # Two inserts that share keys take them in the same order, or each would wait for the other.
        return Query(self._statements.insert, new_values(sorted(runs, key=lambda run: run.stored_key or "")), ids_of)

    def claim(self, connection: Connection, request: ClaimRequest) -> Sequence[Claimed]:
        """See :class:`Store`."""
        return self.turn(connection, (), request).claimed

    def settle(self, connection: Connection, outcomes: Sequence[Settled]) -> frozenset[Hold]:
        """See :class:`Store`."""
        return self.turn(connection, outcomes, None).lost

    def turn(self, connection: Connection, outcomes: Sequence[Settled], request: ClaimRequest | None) -> Turn:
        """See :class:`Store`."""
        lost: frozenset[Hold] = frozenset()
        while len(workers := {each.hold.worker for each in outcomes}) > 1:  # the statement knows one, as a poller does
            theirs = workers.pop()
            lost |= self.settle(connection, [each for each in outcomes if each.hold.worker == theirs])
            outcomes = [each for each in outcomes if each.hold.worker != theirs]
        known, strange = known_of(outcomes, lambda each: each.hold)
        return self._turn(connection, known, lost | strange, request)

    def _turn(
        self,
        connection: Connection,
        outcomes: Sequence[Settled],
        lost: frozenset[Hold],
        request: ClaimRequest | None,
        durable: bool = False,
    ) -> Turn:
        if request is not None and request.totals:
            # Apart, so that what was just settled is seen when the leases are counted.
            lost |= self._turn(connection, outcomes, lost, None).lost
            request, contended = self._with_room(connection, request)
            return replace(self._turn(connection, (), lost, request, durable=bool(outcomes)), contended=contended)
        request = None if request is None else within_caps(request)
        if not outcomes and request is None:
            return Turn(lost, ())
        settings(connection, SETTLING)
        query = self._turning(outcomes, lost, request, durable=durable)
        turn = query.read(rows(connection, query.statement, query.values))
        if request is None or not turn.refused:
            return turn
        again = replace(request, limit=turn.refused, caps=left_of(request.caps, turn.claimed))
        more = self._turn(connection, (), frozenset(), again, durable=bool(outcomes) or durable)
        return Turn(turn.lost, [*turn.claimed, *more.claimed])

    def _turning(
        self, outcomes: Sequence[Settled], lost: frozenset[Hold], request: ClaimRequest | None, *, durable: bool
    ) -> Query[Turn]:
        relaxed = not outcomes and not durable
        shape = None if request is None else shape_of(request, relaxed=relaxed)

        def read(found: Sequence[tuple[Any, ...]]) -> Turn:
            refused = lost
            if outcomes:
                kept, found = found[0][0] or (), found[1:]
                if len(kept) < len(outcomes):
                    done = {outcomes[place - 1].hold for place in kept}
                    refused |= {each.hold for each in outcomes} - done
            claimed = () if request is None else claimed_of(found, request.worker)
            return Turn(refused, claimed, len(found) - len(claimed))

        settles, values = settled_values(outcomes)
        return Query(self._statements.turn(settles, shape), {**values, **wanted_values(request)}, read)

    def turning(self, outcomes: Sequence[Settled], request: ClaimRequest | None) -> Query[Turn] | None:
        """See :class:`Direct`."""
        known, strange = known_of(outcomes, lambda each: each.hold)
        if request is not None:
            if request.totals:
                return None
            request = within_caps(request)
        if (not known and request is None) or len({each.hold.worker for each in known}) > 1:
            return None
        return self._turning(known, strange, request, durable=False)

    def _with_room(self, connection: Connection, request: ClaimRequest) -> tuple[ClaimRequest, frozenset[str]]:
        """*request* with totals turned into caps, and the types that another transaction is counting just now."""
        totals = {kind: request.totals[kind] for kind in request.types if kind in request.totals}
        caps: dict[str, int] = dict.fromkeys(totals, 0)
        if not totals:
            return replace(request, totals={}), frozenset()
        settings(connection, PLANS)
        place = {"place": f"orchestrator.inbox {self._schema}"}
        locked = dict(rows(connection, self._statements.lock, {**place, **total_values(totals)}))
        ours = {kind: totals[kind] for kind, got in locked.items() if got}
        if ours:
            caps.update(rows(connection, self._statements.room, total_values(ours)))
        caps = {kind: min(left, request.caps.get(kind, left)) for kind, left in caps.items()}
        return replace(request, caps={**request.caps, **caps}, totals={}), frozenset(locked) - frozenset(ours)

    def checkpoint(self, connection: Connection, run_id: str) -> bytes | None:
        """See :class:`Store`."""
        if not RUN_ID.fullmatch(run_id):
            return None
        statement = f"SELECT checkpoint FROM {self._schema}workflow_run WHERE id = %(id)s::uuid"
        found = rows(connection, statement, {"id": run_id})
        return None if not found or found[0][0] is None else bytes(found[0][0])

    def keep(self, connection: Connection, hold: Hold, state: bytes | None) -> bool:
        """See :class:`Store`."""
        if not RUN_ID.fullmatch(hold.run_id):
            return False
        settings(connection, PLANS)
        values = {"id": hold.run_id, "holder": hold.worker, "fence": str(hold.fence), "state": state}
        return bool(rows(connection, self._statements.keep, values))

    def heartbeat(self, connection: Connection, holds: Sequence[Hold], lease: float, *, audit: bool = False) -> Renewal:
        """See :class:`Store`."""
        known, strange = known_of(holds, lambda hold: hold)
        lost, cancelled, locked = {*strange}, set[Hold](), set[Hold]()
        told = {"lease": str(lease), "audit": audit, "data": as_json(extended_by_seconds=int(lease))}
        if known:
            settings(connection, PLANS)
        for worker in {hold.worker for hold in known}:
            theirs = [hold for hold in known if hold.worker == worker]
            for place, status in rows(connection, self._statements.heartbeat, {**hold_values(theirs), **told}):
                told_of = {State.CANCELLED: cancelled, "locked": locked}.get(status, lost)
                told_of.add(theirs[place - 1])
        return Renewal(frozenset(lost), frozenset(cancelled), frozenset(locked))

    def sweep(self, connection: Connection, limit: int) -> Swept:
        """See :class:`Store`."""
        settings(connection, PLANS)
        ((returned, exhausted),) = rows(connection, self._statements.sweep, {"limit": str(limit)})
        return Swept(returned, exhausted)

    def promote(self, connection: Connection, limit: int) -> Promoted:
        """See :class:`Store`."""
        settings(connection, PLANS)
        ((count, next_in),) = rows(connection, self._statements.promote, {"limit": str(limit)})
        return Promoted(count, None if next_in is None else max(0.0, next_in))

    def purge(self, connection: Connection, older_than: float, states: Sequence[State], limit: int) -> int:
        """See :class:`Store`."""
        values = {"states": [str(state) for state in ended(states)], "age": str(older_than), "limit": str(limit)}
        settings(connection, PLANS)
        ((count,),) = rows(connection, self._statements.purge, values)
        return int(count)

    def cancel(self, connection: Connection, run_id: str) -> None:
        """See :class:`Store`."""
        if self._queries.state(connection, run_id) is not State.CANCELLED:
            self._by_operator(connection, run_id, Move.CANCEL)

    def requeue(self, connection: Connection, run_id: str) -> None:
        """See :class:`Store`."""
        try:
            with native(connection).transaction():
                self._by_operator(connection, run_id, Move.REQUEUE)
        except UniqueViolation:  # another run took the key meanwhile, which can be seen by now
            self._by_operator(connection, run_id, Move.REQUEUE)

    def get(self, connection: Connection, run_id: str) -> RunRecord:
        """See :class:`Store`."""
        return self._queries.get(connection, run_id)

    def list(
        self,
        connection: Connection,
        *,
        type: str | None,  # noqa: A002 - the wire's own word
        state: State | None,
        idempotency_key: str | None,
        limit: int,
        cursor: str | None,
    ) -> Page:
        """See :class:`Store`. Newest first by their ids, which are made in the order of time by us alone."""
        return self._queries.page(connection, type, state, idempotency_key, limit, cursor)

    def events(self, connection: Connection, run_id: str) -> Sequence[Event]:
        """See :class:`Store`."""
        return self._queries.events(connection, run_id)

    def stats(self, connection: Connection, *, ended: bool = True) -> Stats:
        """See :class:`Store`."""
        return self._queries.stats(connection, ended=ended)

    def register(self, connection: Connection, types: Sequence[str]) -> None:
        """See :class:`Store`."""
        rows(
            connection,
            f"INSERT INTO {self._schema}workflow_registry (workflow_name, runtime) "
            "SELECT t, 'python' FROM unnest(%(types)s::text[]) t ORDER BY t ON CONFLICT (workflow_name) DO NOTHING",
            {"types": list(types)},
        )

    def pulse(self, connection: Connection) -> object:  # noqa: ARG002 - the port
        """See :class:`Store`. PostgreSQL cannot tell; it notifies."""
        return None

    def _insert(self, connection: Connection, runs: Sequence[NewRun], found: dict[str, Stored]) -> None:
        for _ in range(_LOOKS):
            query = self.inserting(runs)
            new = query.read(rows(connection, query.statement, query.values))
            found.update((run.id, Stored(run.id, existed=False)) for run in runs if run.id in new)
            runs = [run for run in runs if run.id not in new]
            if not runs:
                return
            known = self._queries.by_key(connection, [run.stored_key for run in runs])
            found.update(
                (run.id, Stored(known[run.stored_key], existed=True)) for run in runs if run.stored_key in known
            )
            runs = [run for run in runs if run.id not in found]
            if not runs:
                return
        raise InboxError(
            f"the idempotency key {runs[0].idempotency_key!r} is taken by a run that this transaction cannot see; "
            "submit in a transaction of its own, or one that is READ COMMITTED"
        )

    def _by_operator(self, connection: Connection, run_id: str, move: Move) -> None:
        state = self._queries.state(connection, run_id)
        if (state, move) not in TRANSITIONS:
            raise AlreadyFinished(run_id, state, move)
        event, reason = EVENTS[move]
        values = {"id": run_id, "event": event, "data": None if reason is None else as_json(reason=reason)}
        statement = self._queries.cancel if move is Move.CANCEL else self._queries.requeue
        rows(connection, statement, values)
