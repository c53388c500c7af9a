"""A turn: outcomes are settled and runs are claimed, each alone or both in one statement, composed by what is asked.

What is claimed is found by one ordered walk of an index per type, never by a sort of the backlog.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

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
_UNCAPPED = {"{cap}": "", "{share}": "%(share)s::int", "{whole}": "%(limit)s::int", "{rest}": "next.most"}
_CAPPED = {
    "{cap}": """, coalesce((
        SELECT c.cap FROM unnest(%(capped)s::text[], %(caps)s::int[]) AS c(type, cap) WHERE c.type = t.type
    ), %(limit)s::int) AS cap""",
    "{share}": "least(%(share)s::int, kind.cap)",
    "{whole}": "least(%(limit)s::int, (SELECT k.cap FROM kind k WHERE k.type = full_type.type))",
    "{rest}": """least(next.most, (SELECT k.cap FROM kind k WHERE k.type = next.type)
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
# make up for it, those first whose first run is first, a share each, and what they have behind it when that is not
# enough: who claims less than there is would take it for the end of the backlog. Nothing is looked at when nothing is
# missing or there is no more.
_MORE = """
more AS MATERIALIZED (
    SELECT r.ctid FROM (
        SELECT r.type, pass.* FROM (
            SELECT DISTINCT ON (r.type) r.type, r.priority, r.run_at, r.id FROM near r ORDER BY r.type, {order}
        ) r CROSS JOIN (VALUES (0, %(share)s::int), (%(share)s::int, %(limit)s::int)) AS pass(seen, most)
        ORDER BY pass.seen, {order}
    ) next CROSS JOIN LATERAL (
        SELECT r.ctid FROM {s}workflow_run r
        WHERE {due} AND r.type COLLATE "C" = next.type AND r.ctid <> ALL (ARRAY(SELECT ctid FROM mine))
        ORDER BY {order} LIMIT greatest(0, {rest} - next.seen) OFFSET next.seen FOR UPDATE SKIP LOCKED
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
    WHERE r.ctid = ANY (ARRAY({locked}))
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
# A row without a run for each that somebody changed while the claim was under way: it is due still, but this statement
# sees it as it was, and cannot change it.
_CLAIM_ROWS = """
SELECT NULL::int[], id::text, fence, type, payload::text, attempt, max_attempts, status,
    CASE WHEN isfinite(run_at) THEN extract(epoch FROM {now} - run_at)::float8 ELSE 0 END FROM (
    SELECT * FROM claimed r ORDER BY {order}
) r
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM generate_series(
    1, (SELECT count(*) FROM ({locked}) locked) - (SELECT count(*) FROM claimed)
)"""

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


class Turns:
    """The statements of turns, each composed when it is first asked for; *parts* are those of :class:`Statements`."""

    def __init__(self, parts: Mapping[str, str]) -> None:
        self._parts = parts
        self._known: dict[tuple[Settles, Shape | None], str] = {}

    def __call__(self, settle: Settles, claim: Shape | None) -> str:
        """Settle, claim, or both at once."""
        known = self._known.get((settle, claim))
        if known is None:
            known = self._known[settle, claim] = self._composed(settle, claim)
        return known

    def _composed(self, settle: Settles, claim: Shape | None) -> str:
        tables, events, rows = [], [], []
        recursive = False
        order = "r.priority, r.run_at, r.id"
        types = "unnest(%(types)s::text[])"
        locked = "SELECT ctid FROM mine"
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
            tables.append(_CLAIMED)
            locked += " UNION ALL SELECT ctid FROM more" if several else ""
            limits = _CAPPED if claim.capped else _UNCAPPED
            relaxed = _RELAXED if claim.relaxed else ""
            events.append(_CLAIM_EVENTS)
            rows.append(_CLAIM_ROWS)
        tables.append(_EVENTS.replace("{rows}", "\n    UNION ALL".join(events)))
        text = "WITH " + ("RECURSIVE " if recursive else "") + ",".join(tables) + "\nUNION ALL".join(rows)
        for place, part in limits.items():
            text = text.replace(place, part)
        text = text.replace("{relaxed}", relaxed).replace("{locked}", locked)
        return text.replace("{types}", types).replace("{order}", order).format(**self._parts)
