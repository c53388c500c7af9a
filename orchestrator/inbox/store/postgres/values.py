"""What the statements are given, as texts, and what their rows mean."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from orchestrator.inbox.machine import Move, State
from orchestrator.inbox.store.postgres.connection import array, texts
from orchestrator.inbox.store.postgres.turns import Settles, Shape
from orchestrator.inbox.store.records import Claimed, ClaimRequest, Failed, Hold, NewRun, Settled, Succeeded

T = TypeVar("T")

#: How the id of a run is written.
RUN_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def ids_of(found: Sequence[tuple[Any, ...]]) -> frozenset[str]:
    """The ids in the rows of an insert."""
    return frozenset(id_ for (id_,) in found)


def new_values(runs: Sequence[NewRun]) -> dict[str, str | None]:
    """The values of an insert."""
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


def hold_values(holds: Sequence[Hold]) -> dict[str, str | None]:
    """*holds*, which are all of one worker."""
    return {
        "holder": holds[0].worker,
        "ids": array([hold.run_id for hold in holds]),
        "fences": array([hold.fence for hold in holds]),
    }


def settled_values(outcomes: Sequence[Settled]) -> tuple[Settles, dict[str, str | None]]:
    """What is settled, and the values for it."""
    if not outcomes:
        return "nothing", {}
    holds = hold_values([each.hold for each in outcomes])
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


def wanted_values(request: ClaimRequest | None) -> dict[str, str | None]:
    """The values of a claim."""
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
        "first": as_json(worker_id=request.worker, attempt=0),
        "started": as_json(worker_id=request.worker),
    }
    if shape_of(request, relaxed=False).capped:
        values["capped"] = texts(request.caps)
        values["caps"] = array(request.caps.values())
    if request.prefixes:
        values["lows"] = texts(request.prefixes)
        values["highs"] = texts(map(above, request.prefixes))
        values["excluded"] = texts(request.excluded)
    return values


def total_values(totals: Mapping[str, int]) -> dict[str, str | None]:
    """Types with their totals."""
    return {"types": texts(totals), "totals": array(totals.values())}


def above(low: str) -> str:
    """What comes after all texts that begin with *low*."""
    return f"{low}\U0010ffff"


def within_caps(request: ClaimRequest) -> ClaimRequest | None:
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


def left_of(caps: Mapping[str, int], claimed: Sequence[Claimed]) -> Mapping[str, int]:
    """*caps* after these were taken."""
    taken = Counter(run.type for run in claimed)
    return {kind: cap - taken[kind] for kind, cap in caps.items()}


def shape_of(request: ClaimRequest, *, relaxed: bool) -> Shape:
    """What the statement for *request* depends on; *relaxed*: its transaction settles nothing."""
    many = len(request.types) > 1
    capped = bool(request.caps) and (many or bool(request.prefixes))
    return Shape(many, bool(request.prefixes), request.oldest_first, capped, relaxed)


def claimed_of(found: Sequence[tuple[Any, ...]], worker: str) -> list[Claimed]:
    """The runs in the rows of a claim, without those that were refused."""
    return [
        Claimed(Hold(id_, worker, fence), type_, payload.encode(), attempt, max_attempts, waited)
        for _, id_, fence, type_, payload, attempt, max_attempts, status, waited in found
        if status == State.LEASED
    ]


def known_of(items: Sequence[T], hold: Callable[[T], Hold]) -> tuple[Sequence[T], frozenset[Hold]]:
    """Those of *items* whose run can be there, and the holds of the others.

    Rows are locked in the order of their ids by all who change many, or they would wait for each other in a circle.
    """
    known = sorted(items, key=lambda each: hold(each).run_id)
    strange = [each for each in known if not RUN_ID.fullmatch(hold(each).run_id)]
    if strange:
        known = [each for each in known if each not in strange]
    return known, frozenset(map(hold, strange))


def as_json(**values: object) -> str:
    """The data of an event."""
    return json.dumps(values)
