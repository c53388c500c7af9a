"""The store on PostgreSQL. Times come from the database's clock: that of the transaction's begin."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from psycopg.errors import UniqueViolation

from orchestrator.contracts import Connection
from orchestrator.inbox.errors import AlreadyFinished, InboxError
from orchestrator.inbox.machine import EVENTS, TRANSITIONS, Move, State
from orchestrator.inbox.store.direct import Query
from orchestrator.inbox.store.postgres.connection import array, rows, settings, texts
from orchestrator.inbox.store.postgres.queries import Queries
from orchestrator.inbox.store.postgres.schema import prefix, steps
from orchestrator.inbox.store.postgres.statements import PLANS, SESSION, Settles, Shape, Statements
from orchestrator.inbox.store.records import (
    Claimed,
    ClaimRequest,
    Event,
    Failed,
    Hold,
    NewRun,
    Page,
    Promoted,
    Renewal,
    RunRecord,
    Settled,
    Stats,
    Stored,
    Succeeded,
    Swept,
    Turn,
    ended,
)
from orchestrator.sql.postgres import native

T = TypeVar("T")

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

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

    def inserting(self, runs: Sequence[NewRun]) -> Query[frozenset[str]]:
        """See :class:`Direct`."""
        if all(run.idempotency_key is None for run in runs):
            return Query(self._statements.insert_without_keys, _new(runs), _ids)
        # Two inserts that share keys take them in the same order, or each would wait for the other.
        return Query(self._statements.insert, _new(sorted(runs, key=lambda run: run.stored_key or "")), _ids)

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
        known, strange = _known(outcomes, lambda each: each.hold)
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
            return self._turn(connection, (), lost, self._with_room(connection, request), durable=bool(outcomes))
        request = None if request is None else _within_caps(request)
        if not outcomes and request is None:
            return Turn(lost, ())
        settings(connection, PLANS)
        query = self._turning(outcomes, lost, request, durable=durable)
        turn = query.read(rows(connection, query.statement, query.values))
        if request is None or not turn.refused:
            return turn
        again = replace(request, limit=turn.refused, caps=_left(request.caps, turn.claimed))
        more = self._turn(connection, (), frozenset(), again, durable=bool(outcomes) or durable)
        return Turn(turn.lost, [*turn.claimed, *more.claimed])

    def _turning(
        self, outcomes: Sequence[Settled], lost: frozenset[Hold], request: ClaimRequest | None, *, durable: bool
    ) -> Query[Turn]:
        relaxed = not outcomes and not durable
        shape = None if request is None else _shape(request, relaxed=relaxed)

        def read(found: Sequence[tuple[Any, ...]]) -> Turn:
            refused = lost
            if outcomes:
                kept, found = found[0][0] or (), found[1:]
                if len(kept) < len(outcomes):
                    done = {outcomes[place - 1].hold for place in kept}
                    refused |= {each.hold for each in outcomes} - done
            claimed = () if request is None else _claimed(found, request.worker)
            return Turn(refused, claimed, len(found) - len(claimed))

        settles, values = _settled(outcomes)
        return Query(self._statements.turn(settles, shape), {**values, **_wanted(request)}, read)

    def turning(self, outcomes: Sequence[Settled], request: ClaimRequest | None) -> Query[Turn] | None:
        """See :class:`Direct`."""
        known, strange = _known(outcomes, lambda each: each.hold)
        if request is not None:
            if request.totals:
                return None
            request = _within_caps(request)
        if (not known and request is None) or len({each.hold.worker for each in known}) > 1:
            return None
        return self._turning(known, strange, request, durable=False)

    def _with_room(self, connection: Connection, request: ClaimRequest) -> ClaimRequest:
        totals = {kind: request.totals[kind] for kind in request.types if kind in request.totals}
        if not totals:
            return replace(request, totals={})
        settings(connection, PLANS)
        types = {"types": texts(totals), "place": f"orchestrator.inbox {self._schema}"}
        rows(connection, self._statements.lock, types)
        room = dict(rows(connection, self._statements.room, {**types, "totals": array(totals.values())}))
        caps = {kind: min(left, request.caps.get(kind, left)) for kind, left in room.items()}
        return replace(request, caps={**request.caps, **caps}, totals={})

    def checkpoint(self, connection: Connection, run_id: str) -> bytes | None:
        """See :class:`Store`."""
        if not _UUID.fullmatch(run_id):
            return None
        statement = f"SELECT checkpoint FROM {self._schema}workflow_run WHERE id = %(id)s::uuid"
        found = rows(connection, statement, {"id": run_id})
        return None if not found or found[0][0] is None else bytes(found[0][0])

    def keep(self, connection: Connection, hold: Hold, state: bytes | None) -> bool:
        """See :class:`Store`."""
        if not _UUID.fullmatch(hold.run_id):
            return False
        settings(connection, PLANS)
        values = {"id": hold.run_id, "holder": hold.worker, "fence": str(hold.fence), "state": state}
        return bool(rows(connection, self._statements.keep, values))

    def heartbeat(self, connection: Connection, holds: Sequence[Hold], lease: float, *, audit: bool = False) -> Renewal:
        """See :class:`Store`."""
        known, strange = _known(holds, lambda hold: hold)
        lost, cancelled = {*strange}, set[Hold]()
        told = {"lease": str(lease), "audit": audit, "data": _json(extended_by_seconds=int(lease))}
        if known:
            settings(connection, PLANS)
        for worker in {hold.worker for hold in known}:
            theirs = [hold for hold in known if hold.worker == worker]
            for place, status in rows(connection, self._statements.heartbeat, {**_holds(theirs), **told}):
                (cancelled if status == State.CANCELLED else lost).add(theirs[place - 1])
        return Renewal(frozenset(lost), frozenset(cancelled))

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
        values = {"id": run_id, "event": event, "data": None if reason is None else _json(reason=reason)}
        statement = self._queries.cancel if move is Move.CANCEL else self._queries.requeue
        rows(connection, statement, values)


def _ids(found: Sequence[tuple[Any, ...]]) -> frozenset[str]:
    return frozenset(id_ for (id_,) in found)


def _new(runs: Sequence[NewRun]) -> dict[str, str | None]:
    return {
        "ids": array([run.id for run in runs]),
        "types": texts([run.type for run in runs]),
        "payloads": texts([run.payload for run in runs]),
        "priorities": array(run.priority for run in runs),
        "times": array(None if run.run_at is None else run.run_at.isoformat() for run in runs),
        "delays": array(run.delay for run in runs),
        "keys": texts([run.stored_key for run in runs]),
        "attempts": array(run.max_attempts for run in runs),
    }


def _holds(holds: Sequence[Hold]) -> dict[str, str | None]:
    return {
        "holder": holds[0].worker,
        "ids": array([hold.run_id for hold in holds]),
        "fences": array([hold.fence for hold in holds]),
    }


def _settled(outcomes: Sequence[Settled]) -> tuple[Settles, dict[str, str | None]]:
    if not outcomes:
        return "nothing", {}
    holds = _holds([each.hold for each in outcomes])
    successes = [each.outcome.result for each in outcomes if isinstance(each.outcome, Succeeded)]
    if len(successes) == len(outcomes):
        return "successes", {**holds, "results": texts(successes)}
    moves, results, errors, waits = [], [], [], []
    for each in outcomes:
        outcome = each.outcome
        result = error = wait = None
        if isinstance(outcome, Succeeded):
            move, result = Move.SUCCEED, outcome.result
        elif isinstance(outcome, Failed):
            move, error, wait = Move.FAIL if outcome.retry_in is None else Move.RETRY, outcome.error, outcome.retry_in
        else:
            move = Move.RELEASE
        moves.append(move.value)
        results.append(result)
        errors.append(error)
        waits.append(wait)
    told = {"moves": array(moves), "results": texts(results), "errors": texts(errors), "waits": array(waits)}
    return "any", {**holds, **told}


def _wanted(request: ClaimRequest | None) -> dict[str, str | None]:
    if request is None:
        return {}
    limit = request.limit
    types = list(dict.fromkeys(request.types))
    kinds = len(types) + 4 * len(request.prefixes)  # as good a guess as any of how many types a prefix brings
    values: dict[str, str | None] = {
        "worker": request.worker,
        "types": texts(types),
        "limit": str(limit),
        "share": str(min(limit, 2 * limit // max(1, kinds) + 4)),
        "lease": str(request.lease),
        "first": _json(worker_id=request.worker, attempt=0),
        "started": _json(worker_id=request.worker),
    }
    if _shape(request, relaxed=False).capped:
        values["capped"] = texts(request.caps)
        values["caps"] = array(request.caps.values())
    if request.prefixes:
        values["lows"] = texts(request.prefixes)
        values["highs"] = texts(map(above, request.prefixes))
        values["excluded"] = texts(request.excluded)
    return values


def above(low: str) -> str:
    """What comes after all texts that begin with *low*."""
    return f"{low}\U0010ffff"


def _within_caps(request: ClaimRequest) -> ClaimRequest | None:
    """*request* without what it may take nothing of; None when it may take nothing at all."""
    types, excluded = request.types, request.excluded
    limit = request.limit
    if request.caps:
        shut = [kind for kind, cap in request.caps.items() if cap < 1]
        types = [kind for kind in types if kind not in shut]
        excluded = [*excluded, *shut]
        if len(types) == 1 and not request.prefixes:
            limit = min(limit, request.caps.get(types[0], limit))
        open_caps = {kind: cap for kind, cap in request.caps.items() if 1 <= cap < limit}
        request = replace(request, types=types, excluded=excluded, limit=limit, caps=open_caps)
    return request if limit >= 1 and (types or request.prefixes) else None


def _left(caps: Mapping[str, int], claimed: Sequence[Claimed]) -> Mapping[str, int]:
    """*caps* after these were taken."""
    taken = Counter(run.type for run in claimed)
    return {kind: cap - taken[kind] for kind, cap in caps.items()}


def _shape(request: ClaimRequest, *, relaxed: bool) -> Shape:
    many = len(request.types) > 1
    capped = bool(request.caps) and (many or bool(request.prefixes))
    return Shape(many, bool(request.prefixes), request.oldest_first, capped, relaxed)


def _claimed(found: Sequence[tuple[Any, ...]], worker: str) -> list[Claimed]:
    return [
        Claimed(Hold(id_, worker, fence), type_, payload.encode(), attempt, max_attempts, waited)
        for _, id_, fence, type_, payload, attempt, max_attempts, status, waited in found
        if status == State.LEASED
    ]


def _known(items: Sequence[T], hold: Callable[[T], Hold]) -> tuple[Sequence[T], frozenset[Hold]]:
    """Those of *items* whose run can be there, and the holds of the others.

    Rows are locked in the order of their ids by all who change many, or they would wait for each other in a circle.
    """
    known = sorted(items, key=lambda each: hold(each).run_id)
    strange = [each for each in known if not _UUID.fullmatch(hold(each).run_id)]
    if strange:
        known = [each for each in known if each not in strange]
    return known, frozenset(map(hold, strange))


def _json(**values: object) -> str:
    return json.dumps(values)
