"""The statements that carry the load of the inbox on PostgreSQL, composed once per store.

Each is one round trip whatever the number of runs, and writes the event rows with the change. They are made for generic
plans that cannot go wrong: a fence is an expression, so that no index but the primary key can find the run; what is
claimed is found by one ordered walk of an index per type, never by a sort of the backlog.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from orchestrator.inbox.machine import CRASH_ALLOWANCE
from orchestrator.inbox.store.records import ACTIVE

#: Set for each transaction that claims or settles. A plan made while the tables are empty must be good when they
#: are full as well: only walks of indexes are.
PLANS = (
    "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off; "
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
)

#: The same for a session that does nothing else.
SESSION = PLANS.replace("SET LOCAL", "SET")

#: How long a transaction that keeps others from a type may be idle before the server ends it.
COUNTING_IDLE = "5s"

_DUE = "r.status = 'pending' AND r.ready AND r.deleted_at IS NULL AND r.run_at <= {now}"

# What a crash of the server may lose: a claim, whose run is then offered again.
_RELAXED = "CROSS JOIN (SELECT set_config('synchronous_commit', 'off', true)) AS relaxed "

_KINDS = """
kind AS MATERIALIZED (
    SELECT t.type{cap} FROM {types} AS t(type) {relaxed}WHERE t.type IS NOT NULL AND NOT EXISTS (
        SELECT FROM {s}workflow_registry g WHERE g.workflow_name = t.type AND NOT g.is_enabled AND g.deleted_at IS NULL
    )
)"""

# The distinct types of the backlog in a range, one descent of the index each.
_FOUND = """
found (high, type) AS (
    SELECT p.high, (
        SELECT r.type FROM {s}workflow_run r WHERE {due} AND r.type COLLATE "C" >= p.low AND r.type COLLATE "C" < p.high
        ORDER BY r.type COLLATE "C" LIMIT 1
    ) FROM unnest(%(lows)s::text[], %(highs)s::text[]) AS p(low, high)
    UNION ALL
    SELECT f.high, (
        SELECT r.type FROM {s}workflow_run r
        WHERE {due} AND r.type COLLATE "C" > f.type AND r.type COLLATE "C" < f.high ORDER BY r.type COLLATE "C" LIMIT 1
    ) FROM found f WHERE f.type IS NOT NULL
)"""
_WITH_FOUND = """(
        SELECT unnest(%(types)s::text[]) UNION SELECT type FROM found WHERE type <> ALL (%(excluded)s::text[])
    )"""

# How many runs of each type are among the first: found without locks, so that exactly the limit is locked below. A look
# at a share of the limit is enough for most types; those that fill theirs are looked at again, up to the whole limit.
_QUOTAS = """
near AS MATERIALIZED (
    SELECT kind.type, r.* FROM kind CROSS JOIN LATERAL (
        SELECT r.priority, r.run_at, r.id FROM {s}workflow_run r
        WHERE {due} AND r.type COLLATE "C" = kind.type ORDER BY {order} LIMIT {share}
    ) r
),
full_type AS MATERIALIZED (
    SELECT r.type FROM (SELECT r.type FROM near r ORDER BY {order} LIMIT %(limit)s::int) r
    GROUP BY r.type HAVING count(*) = %(share)s::int
),
quota AS MATERIALIZED (
    SELECT r.type, count(*) AS runs FROM (
        SELECT r.type FROM (
            SELECT * FROM near WHERE near.type <> ALL (ARRAY(SELECT type FROM full_type))
            UNION ALL
            SELECT full_type.type, r.* FROM full_type CROSS JOIN LATERAL (
                SELECT r.priority, r.run_at, r.id FROM {s}workflow_run r
                WHERE {due} AND r.type COLLATE "C" = full_type.type ORDER BY {order} LIMIT {whole}
            ) r
        ) r ORDER BY {order} LIMIT %(limit)s::int
    ) r GROUP BY r.type
)"""
_UNCAPPED = {"{cap}": "", "{share}": "%(share)s::int", "{whole}": "%(limit)s::int", "{rest}": "%(share)s::int"}
_CAPPED = {
    "{cap}": """, coalesce((
        SELECT c.cap FROM unnest(%(capped)s::text[], %(caps)s::int[]) AS c(type, cap) WHERE c.type = t.type
    ), %(limit)s::int) AS cap""",
    "{share}": "least(%(share)s::int, kind.cap)",
    "{whole}": "least(%(limit)s::int, (SELECT k.cap FROM kind k WHERE k.type = full_type.type))",
    "{rest}": """least(%(share)s::int, (SELECT k.cap FROM kind k WHERE k.type = next.type)
            - (SELECT count(*) FROM mine m WHERE m.type = next.type))""",
}
_WHOLE = """
quota AS MATERIALIZED (SELECT kind.type, %(limit)s::int AS runs FROM kind)"""

_MINE = """
mine AS MATERIALIZED (
    SELECT quota.type, r.ctid FROM quota CROSS JOIN LATERAL (
        SELECT r.ctid FROM {s}workflow_run r
        WHERE {due} AND r.type COLLATE "C" = quota.type ORDER BY {order} LIMIT quota.runs FOR UPDATE SKIP LOCKED
    ) r
)"""
# What others hold was counted as well, and may be all that there is of its type for as long as they take: other types
# make up for it, a share each, those first whose first run is first. Nothing is looked at when nothing is missing or
# there is no more.
_MORE = """
more AS MATERIALIZED (
    SELECT r.ctid FROM (
        SELECT r.type FROM (
            SELECT DISTINCT ON (r.type) r.type, r.priority, r.run_at, r.id FROM near r ORDER BY r.type, {order}
        ) r ORDER BY {order}
    ) next CROSS JOIN LATERAL (
        SELECT r.ctid FROM {s}workflow_run r
        WHERE {due} AND r.type COLLATE "C" = next.type AND r.ctid <> ALL (ARRAY(SELECT ctid FROM mine))
        ORDER BY {order} LIMIT {rest} FOR UPDATE SKIP LOCKED
    ) r LIMIT CASE
        WHEN (SELECT sum(runs) FROM quota) < %(limit)s::int THEN 0
        ELSE %(limit)s::int - (SELECT count(*) FROM mine)
    END
)"""

_CLAIMED = """
claimed AS (
    UPDATE {s}workflow_run r SET
        status = CASE WHEN {refused} THEN 'failed' ELSE 'leased' END,
        leased_by = CASE WHEN {refused} THEN NULL ELSE %(worker)s::text END,
        lease_until = CASE WHEN {refused} THEN NULL ELSE {now} + %(lease)s::float8 * interval '1 second' END,
        fence = CASE WHEN {refused} THEN r.fence ELSE r.fence + 1 END,
        claims = CASE WHEN {refused} THEN r.claims ELSE r.claims + 1 END,
        last_error = CASE WHEN {refused} THEN {refusal} ELSE r.last_error END,
        idempotency_key = CASE WHEN {refused} THEN {ended_key} ELSE r.idempotency_key END,
        updated_at = {now}
    WHERE r.ctid = ANY (ARRAY(SELECT ctid FROM mine{more}))
    RETURNING r.id, r.fence, r.type, r.payload, r.attempt, r.max_attempts, r.priority, r.run_at, r.status, r.last_error
)"""
_CLAIM_EVENTS = """
    SELECT id, 'leased', CASE attempt WHEN 0 THEN %(first)s::jsonb
        ELSE jsonb_build_object('worker_id', %(worker)s::text, 'attempt', attempt) END, {now}
    FROM claimed WHERE status = 'leased'
    UNION ALL
    SELECT id, 'started', %(started)s::jsonb, {now} FROM claimed WHERE status = 'leased'
    UNION ALL
    SELECT id, 'failed',
        jsonb_build_object('attempt', attempt, 'error', last_error, 'reason', 'claimed_too_often'), {now}
    FROM claimed WHERE status = 'failed'"""
_CLAIM_ROWS = """
SELECT NULL::int[], id::text, fence, type, payload::text, attempt, max_attempts, status,
    CASE WHEN isfinite(run_at) THEN extract(epoch FROM {now} - run_at)::float8 ELSE 0 END FROM (
    SELECT * FROM claimed r ORDER BY {order}
) r"""

_SETTLED = """
outcome AS (
    SELECT * FROM unnest(
        %(ids)s::uuid[], %(fences)s::bigint[], %(moves)s::text[], %(results)s::text[], %(errors)s::text[],
        %(waits)s::float8[]
    ) WITH ORDINALITY AS o(id, fence, move, result, error, wait, place)
),
settled AS (
    UPDATE {s}workflow_run r SET
        status = CASE o.move WHEN 'succeed' THEN 'succeeded' WHEN 'fail' THEN 'failed' ELSE 'pending' END,
        leased_by = NULL,
        lease_until = NULL,
        updated_at = {now},
        result = CASE o.move WHEN 'succeed' THEN o.result::jsonb ELSE r.result END,
        last_error = CASE o.move WHEN 'succeed' THEN NULL WHEN 'release' THEN r.last_error ELSE o.error END,
        attempt = CASE WHEN o.move IN ('fail', 'retry') THEN r.attempt + 1 ELSE r.attempt END,
        claims = CASE o.move WHEN 'release' THEN r.claims - 1 ELSE r.claims END,
        run_at = CASE o.move WHEN 'retry' THEN {now} + o.wait * interval '1 second' ELSE r.run_at END,
        ready = CASE o.move WHEN 'retry' THEN o.wait <= 0 ELSE true END,
        checkpoint = CASE o.move WHEN 'succeed' THEN NULL ELSE r.checkpoint END,
        idempotency_key = CASE WHEN o.move IN ('succeed', 'fail') THEN {ended_key} ELSE r.idempotency_key END
    FROM outcome o
    WHERE r.id = o.id AND r.status || '' = 'leased' AND r.leased_by || '' = %(holder)s::text AND r.fence + 0 = o.fence
    RETURNING r.id, o.place, o.move, o.error, r.attempt
)"""
# What nearly all do, without what has to be asked for the others.
_SUCCEEDED = """
outcome AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[], %(results)s::text[])
        WITH ORDINALITY AS o(id, fence, result, place)
),
settled AS (
    UPDATE {s}workflow_run r SET
        status = 'succeeded',
        leased_by = NULL,
        lease_until = NULL,
        updated_at = {now},
        result = o.result::jsonb,
        last_error = NULL,
        checkpoint = NULL,
        idempotency_key = {ended_key}
    FROM outcome o
    WHERE r.id = o.id AND r.status || '' = 'leased' AND r.leased_by || '' = %(holder)s::text AND r.fence + 0 = o.fence
    RETURNING r.id, o.place
)"""
_SUCCESS_EVENTS = """
    SELECT id, 'succeeded', NULL::jsonb, {now} FROM settled"""
_SETTLE_EVENTS = """
    SELECT id, CASE move WHEN 'succeed' THEN 'succeeded' WHEN 'fail' THEN 'failed' ELSE 'retried' END,
        CASE move WHEN 'succeed' THEN NULL WHEN 'release' THEN '{{"reason": "released"}}'::jsonb
        ELSE jsonb_build_object('attempt', attempt, 'error', error) END, {now}
    FROM settled"""
_SETTLE_ROWS = """
SELECT array_agg(place::int), NULL::text, NULL::bigint, NULL::text, NULL::text, NULL::int, NULL::int, NULL::text,
    NULL::float8
FROM settled"""

_EVENTS = "event AS (INSERT INTO {s}workflow_event (workflow_id, event_type, data, created_at) {rows})"

_INSERT = """
WITH new AS (
    SELECT n.*, coalesce(n.at, {now} + n.delay * interval '1 second') AS start FROM unnest(
        %(ids)s::uuid[], %(types)s::text[], %(payloads)s::text[], %(priorities)s::int[], %(times)s::timestamptz[],
        %(delays)s::float8[], %(keys)s::text[], %(attempts)s::int[]
    ) WITH ORDINALITY AS n(id, type, payload, priority, at, delay, key, attempts, place)
),
stored AS (
    INSERT INTO {s}workflow_run
        (id, type, payload, priority, run_at, ready, idempotency_key, max_attempts, created_at, updated_at)
    SELECT id, type, payload::jsonb, priority, start, start <= {now}, key, attempts, {now}, {now} FROM new
    ORDER BY place
    ON CONFLICT (idempotency_key) DO NOTHING RETURNING id
),
event AS (
    INSERT INTO {s}workflow_event (workflow_id, event_type, created_at) SELECT id, 'created', {now} FROM stored
)
SELECT id::text FROM stored
"""

_TOTALS = "unnest(%(types)s::text[], %(totals)s::int[]) AS t(type, total)"
_LEASED = """(
    SELECT count(*) FROM (
        SELECT FROM {s}workflow_run r WHERE r.status = 'leased' AND r.type COLLATE "C" = t.type LIMIT t.total
    ) held
)"""
# Who counts a type locks it, and is told whether it got the lock: nobody waits for a process that is frozen there, and
# the server ends one that is. A type of which nothing is to be had is not locked, or idle workers would keep the busy
# ones off it: who brings a run, or makes room, tells all workers after its commit.
_LOCK = """
SELECT t.type, CASE WHEN pg_try_advisory_xact_lock(hashtextextended(%(place)s::text || t.type, 0))
    THEN set_config('idle_in_transaction_session_timeout', CASE
        WHEN current_setting('idle_in_transaction_session_timeout')::interval BETWEEN '1 ms' AND '{idle}'
        THEN current_setting('idle_in_transaction_session_timeout') ELSE '{idle}'
    END, true) IS NOT NULL ELSE false END
FROM {totals} WHERE (
    SELECT true FROM {s}workflow_run r WHERE {due} AND r.type COLLATE "C" = t.type ORDER BY r.run_at LIMIT 1
) AND t.total > {leased}
"""
# How many of each type may still be leased: asked when the locks are held, so that nobody takes them meanwhile.
_ROOM = """
SELECT t.type, greatest(0, t.total - {leased})::int FROM {totals}
"""

_KEEP = """
UPDATE {s}workflow_run r SET checkpoint = %(state)s::bytea
WHERE r.id = %(id)s::uuid AND r.status || '' = 'leased' AND r.leased_by || '' = %(holder)s::text
    AND r.fence + 0 = %(fence)s::bigint
RETURNING 1
"""

_HEARTBEAT = """
WITH hold AS (
    SELECT * FROM unnest(%(ids)s::uuid[], %(fences)s::bigint[]) WITH ORDINALITY AS h(id, fence, place)
),
renewed AS (
    UPDATE {s}workflow_run r SET lease_until = {now} + %(lease)s::float8 * interval '1 second', updated_at = {now}
    FROM hold h
    WHERE r.id = h.id AND r.status || '' = 'leased' AND r.leased_by || '' = %(holder)s::text AND r.fence + 0 = h.fence
    RETURNING h.place, r.id
),
event AS (
    INSERT INTO {s}workflow_event (workflow_id, event_type, data, created_at)
    SELECT id, 'heartbeat', %(data)s::jsonb, {now} FROM renewed WHERE %(audit)s::bool
)
SELECT h.place::int, (SELECT r.status FROM {s}workflow_run r WHERE r.id = h.id) FROM hold h
WHERE h.place <> ALL (ARRAY(SELECT place FROM renewed))
"""

# What foreign workers hold counts as well; theirs are told from the failures alone, for they do not count claims.
_SWEEP = """
WITH late AS MATERIALIZED (
    SELECT r.id, r.leased_by, {exhausted} AS last FROM {s}workflow_run r
    WHERE r.status = 'leased' AND r.lease_until < {now} ORDER BY r.lease_until LIMIT %(limit)s::int
    FOR UPDATE SKIP LOCKED
),
swept AS (
    UPDATE {s}workflow_run r SET
        status = CASE WHEN late.last THEN 'failed' ELSE 'pending' END,
        leased_by = NULL,
        lease_until = NULL,
        updated_at = {now},
        attempt = r.attempt + 1,
        ready = true,
        last_error = format('the lease of worker %%L expired without an outcome', late.leased_by)
            || CASE WHEN late.last THEN format(
                '; it happened too often for max_attempts %%s, see what kills its workers', r.max_attempts
            ) ELSE '' END,
        idempotency_key = CASE WHEN late.last THEN {ended_key} ELSE r.idempotency_key END
    FROM late WHERE r.id = late.id
    RETURNING r.id, late.last, late.leased_by, r.attempt, r.last_error
),
event AS (
    INSERT INTO {s}workflow_event (workflow_id, event_type, data, created_at)
    SELECT id, CASE WHEN last THEN 'failed' ELSE 'retried' END, jsonb_build_object(
        'attempt', attempt, 'error', last_error, 'worker_id', leased_by, 'reason', 'lease_expired'
    ), {now} FROM swept
)
SELECT count(*) FILTER (WHERE NOT last)::int, count(*) FILTER (WHERE last)::int FROM swept
"""

_PROMOTE = """
WITH due AS MATERIALIZED (
    SELECT r.id FROM {s}workflow_run r WHERE r.status = 'pending' AND NOT r.ready AND r.run_at <= {now}
    ORDER BY r.run_at LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED
),
promoted AS (UPDATE {s}workflow_run r SET ready = true FROM due WHERE r.id = due.id RETURNING r.id)
SELECT (SELECT count(*) FROM promoted)::int, (
    SELECT extract(epoch FROM r.run_at - {now})::float8 FROM {s}workflow_run r
    WHERE r.status = 'pending' AND NOT r.ready AND isfinite(r.run_at) AND r.id <> ALL (ARRAY(SELECT id FROM due))
    ORDER BY r.run_at LIMIT 1
)
"""

_PURGE = """
WITH old AS MATERIALIZED (
    SELECT r.id FROM {s}workflow_run r WHERE r.status IN ('succeeded', 'failed', 'cancelled')
    AND r.status = ANY (%(states)s::text[]) AND r.updated_at < {now} - %(age)s::float8 * interval '1 second'
    ORDER BY r.updated_at LIMIT %(limit)s::int FOR UPDATE SKIP LOCKED
),
event AS (DELETE FROM {s}workflow_event e USING old WHERE e.workflow_id = old.id),
gone AS (DELETE FROM {s}workflow_run r USING old WHERE r.id = old.id RETURNING r.id)
SELECT count(*)::int FROM gone
"""


#: What a statement settles: nothing, executions that all succeeded, or any.
Settles: TypeAlias = Literal["nothing", "successes", "any"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a claim asks for, as far as its statement depends on it."""

    many: bool
    """More than one type, so the first of all types must be found."""
    prefixes: bool
    oldest_first: bool
    capped: bool = False
    """Not of each type as many as there are."""
    relaxed: bool = False
    """The transaction need not be on the disk when it is committed."""


class Statements:
    """The statements over the tables with the name prefix *place*; *now* is the SQL expression of the time."""

    def __init__(self, place: str, now: str) -> None:
        self._parts = {
            "s": place,
            "now": now,
            "due": _DUE.format(now=now),
            "leased": _LEASED.format(s=place),
            "totals": _TOTALS,
            "idle": COUNTING_IDLE,
            **_texts(),
        }
        self._turns: dict[tuple[Settles, Shape | None], str] = {}
        self.insert = self._text(_INSERT)
        # Without keys there is nothing to be in conflict with, and a fifth of the server's work is saved.
        self.insert_without_keys = self._text(_INSERT.replace("ON CONFLICT (idempotency_key) DO NOTHING ", ""))
        self.heartbeat = self._text(_HEARTBEAT)
        self.keep = self._text(_KEEP)
        self.room = self._text(_ROOM)
        self.lock = self._text(_LOCK)
        self.sweep = self._text(_SWEEP)
        self.promote = self._text(_PROMOTE)
        self.purge = self._text(_PURGE)

    def turn(self, settle: Settles, claim: Shape | None) -> str:
        """Settle, claim, or both at once."""
        known = self._turns.get((settle, claim))
        if known is None:
            known = self._turns[settle, claim] = self._composed(settle, claim)
        return known

    def _composed(self, settle: Settles, claim: Shape | None) -> str:
        tables, events, rows = [], [], []
        recursive = False
        order = "r.priority, r.run_at, r.id"
        types = "unnest(%(types)s::text[])"
        relaxed = ""
        limits = _UNCAPPED
        if settle != "nothing":
            tables.append(_SETTLED if settle == "any" else _SUCCEEDED)
            events.append(_SETTLE_EVENTS if settle == "any" else _SUCCESS_EVENTS)
            rows.append(_SETTLE_ROWS)
        if claim is not None:
            order = "r.run_at, r.id" if claim.oldest_first else order
            if claim.prefixes:
                tables.append(_FOUND)
                types, recursive = _WITH_FOUND, True
            several = claim.many or claim.prefixes
            tables += [_KINDS, _QUOTAS, _MINE, _MORE] if several else [_KINDS, _WHOLE, _MINE]
            tables.append(_CLAIMED.replace("{more}", " UNION ALL SELECT ctid FROM more" if several else ""))
            limits = _CAPPED if claim.capped else _UNCAPPED
            relaxed = _RELAXED if claim.relaxed else ""
            events.append(_CLAIM_EVENTS)
            rows.append(_CLAIM_ROWS)
        tables.append(_EVENTS.replace("{rows}", "\n    UNION ALL".join(events)))
        text = "WITH " + ("RECURSIVE " if recursive else "") + ",".join(tables) + "\nUNION ALL".join(rows)
        for place, part in limits.items():
            text = text.replace(place, part)
        text = text.replace("{relaxed}", relaxed)
        return text.replace("{types}", types).replace("{order}", order).format(**self._parts)

    def _text(self, template: str) -> str:
        return template.format(**self._parts)


def _texts() -> dict[str, str]:
    # Taken from the one side and not added to the other, where the greatest number of all may stand.
    refused = f"r.claims - {CRASH_ALLOWANCE} >= r.max_attempts"
    return {
        "refused": refused,
        "refusal": "format('claimed %%s times without an outcome, which is too often for max_attempts %%s; "
        "see what kills its workers, then retry it', r.claims, r.max_attempts)",
        "exhausted": f"greatest(r.claims, r.attempt + 1) - {CRASH_ALLOWANCE} >= r.max_attempts",
        "ended_key": f"CASE WHEN starts_with(r.idempotency_key, '{ACTIVE}') "
        "THEN r.idempotency_key || ':' || r.id ELSE r.idempotency_key END",
    }
