"""What must hold after any storm: read from the tables, and from what the database recorded of every move."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.orchestrator.inbox.crash.effects import TOTAL

#: Claims beyond max_attempts; the promise, not the code's own figure.
ALLOWANCE = 3

ENDED = {"succeeded", "failed", "cancelled"}

Query = Callable[[str], Sequence[tuple]]


@dataclass(frozen=True)
class Move:
    """One change of a run's status, fence or owner."""

    old_status: str
    new_status: str
    old_fence: int
    new_fence: int
    old_by: str | None
    new_by: str | None
    error: str | None


@dataclass(frozen=True)
class Effect:
    """One step of one execution."""

    worker: str
    fence: int
    token: str
    step: int


@dataclass
class Run:
    """A run with all that is known of it."""

    id: str
    type: str
    status: str
    key: str | None
    attempt: int
    max_attempts: int
    claims: int
    fence: int
    owner: str | None
    result: dict | None
    error: str | None
    events: list[tuple[str, dict]] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def leases(self) -> list[Move]:
        """Every time that it was claimed."""
        return [move for move in self.moves if move.new_status == "leased"]


class Trail:
    """All runs, by id. *query* runs one statement on a database at rest."""

    def __init__(self, query: Query) -> None:
        self.runs: dict[str, Run] = {}
        self.strays: list[str] = []
        self.most: Counter[str] = Counter()
        """How many of each type were leased at once."""
        held: Counter[str] = Counter()
        for id_, *rest, result, error in query(
            "SELECT CAST(id AS TEXT), type, status, idempotency_key, attempt, max_attempts, claims, fence, leased_by, "
            "CAST(result AS TEXT), last_error FROM workflow_run"
        ):
            self.runs[id_] = Run(id_, *rest, json.loads(result) if result else None, error)
        for id_, kind, data in query(
            "SELECT CAST(workflow_id AS TEXT), event_type, CAST(data AS TEXT) FROM workflow_event ORDER BY id"
        ):
            self._of(id_, "event").events.append((kind, json.loads(data) if data else {}))
        for id_, *move in query(
            "SELECT run_id, old_status, new_status, old_fence, new_fence, old_by, new_by, error "
            "FROM storm_move ORDER BY seq"
        ):
            run, made = self._of(id_, "move"), Move(*move)
            run.moves.append(made)
            held[run.type] += (made.new_status == "leased") - (made.old_status == "leased")
            self.most[run.type] = max(self.most[run.type], held[run.type])
        for id_, *effect in query("SELECT run_id, worker, fence, token, step FROM storm_effect"):
            self._of(id_, "effect").effects.append(Effect(*effect))

    def _of(self, id_: str, what: str) -> Run:
        if id_ not in self.runs:
            self.strays.append(f"{what} of {id_}, which is no run")
            self.runs[id_] = Run(id_, "?", "?", None, 0, 0, 0, 0, None, None, None)
        return self.runs[id_]

    def counts(self) -> Counter[str]:
        """What happened: for the report of a storm."""
        counted: Counter[str] = Counter()
        for run in self.runs.values():
            counted["runs"] += 1
            counted[run.status] += 1
            counted["leases"] += len(run.leases())
            counted["expired"] += sum(data.get("reason") == "lease_expired" for _, data in run.events)
            counted["exhausted"] += ("failed", "lease_expired") in [(k, d.get("reason")) for k, d in run.events]
            counted["released"] += sum(data.get("reason") == "released" for _, data in run.events)
            tokens = {(e.worker, e.fence, e.token) for e in run.effects}
            counted["executions"] += len(tokens)
            counted["repeated"] += max(0, len(tokens) - 1)
            known = {(move.new_by, move.new_fence) for move in run.leases()}
            counted["of a lost claim"] += len({e.token for e in run.effects if (e.worker, e.fence) not in known})
        return counted


def violations(trail: Trail, submitted: Mapping[str, str] | None = None, cancelled: Collection[str] = ()) -> list[str]:
    """Every law that is broken. *submitted*: acknowledged ids by key; *cancelled*: acknowledged ids."""
    found = list(trail.strays)
    found += _acknowledged(trail, submitted or {}, cancelled)
    if trail.most["storm.total"] > TOTAL:
        found.append(f"{trail.most['storm.total']} of storm.total were leased at once")
    keys = Counter(run.key for run in trail.runs.values() if run.key is not None)
    found += [f"key {key} is there {count} times" for key, count in keys.items() if count > 1]
    for run in trail.runs.values():
        for law in (_ended_once, _moves, _history, _bounds, _outcome, _executions):
            found += [f"{run.type} {run.id} {run.status}: {said}" for said in law(run)]
    return found


def _acknowledged(trail: Trail, submitted: Mapping[str, str], cancelled: Collection[str]) -> Iterator[str]:
    for key, id_ in submitted.items():
        if id_ not in trail.runs:
            yield f"{key} was acknowledged as {id_} and is lost"
        elif trail.runs[id_].key != key:
            yield f"{key} was acknowledged as {id_}, which has the key {trail.runs[id_].key}"
    for id_ in cancelled:
        if id_ in trail.runs and trail.runs[id_].status != "cancelled":
            yield f"the cancellation of {id_} was acknowledged and it is {trail.runs[id_].status}"


def _ended_once(run: Run) -> Iterator[str]:
    if run.status not in ENDED:
        yield "it has not ended"
    if run.owner is not None:
        yield f"it is still of {run.owner}"
    kinds = [kind for kind, _ in run.events]
    if kinds.count("created") != 1 or kinds[0] != "created":
        yield f"it was created in a strange way: {kinds}"
    last = [kind for kind in kinds if kind in ENDED]
    if last != [run.status]:
        yield f"it has the final events {last}"
    elif kinds[-1] != run.status:
        yield f"its history goes on after its end: {kinds}"


def _moves(run: Run) -> Iterator[str]:
    status, fence, owner = "pending", 0, None
    for move in run.moves:
        if (move.old_status, move.old_fence, move.old_by) != (status, fence, owner):
            yield f"{move} begins where the one before did not end"
        if move.old_status in ENDED:
            yield f"{move} after its end"
        if move.new_status == "leased":
            if move.old_status != "pending":
                yield f"{move} is a claim of what was not free"
            if move.new_fence <= fence:
                yield f"{move} does not raise the fence"
        elif move.new_fence != move.old_fence:
            yield f"{move} changes the fence and is no claim"
        status, fence, owner = move.new_status, move.new_fence, move.new_by
    if (status, fence) != (run.status, run.fence):
        yield f"its moves end as {status} under {fence}, not under {run.fence}"


def _history(run: Run) -> Iterator[str]:
    told = [data.get("worker_id") for kind, data in run.events if kind == "leased"]
    done = [move.new_by for move in run.leases()]
    if told != done:
        yield f"its history tells of the leases {told}, and there were {done}"
    back = sum(kind == "retried" for kind, _ in run.events)
    if back != sum(move.new_status == "pending" for move in run.moves):
        yield f"its history tells of {back} returns"


def _bounds(run: Run) -> Iterator[str]:
    most = run.max_attempts + ALLOWANCE
    released = sum(data.get("reason") == "released" for _, data in run.events)
    if run.claims > most or run.attempt > most:
        yield f"{run.claims} claims and {run.attempt} attempts of {run.max_attempts}"
    if len(run.leases()) > most + released:
        yield f"{len(run.leases())} leases with {released} releases of {run.max_attempts} attempts"
    failures = sum(
        kind in ("retried", "failed") and data.get("reason") not in ("released", "claimed_too_often")
        for kind, data in run.events
    )
    if failures != run.attempt:
        yield f"its history tells of {failures} failures, not of {run.attempt}"


def _outcome(run: Run) -> Iterator[str]:
    """What a worker wrote was its own to write: the hold in it is the one under which it was written."""
    before = None
    for move in run.moves:
        if move.old_status == "leased" and move.error != before:
            for worker, fence in re.findall(r"\[([^\[\]/]+)/(\d+)\]", move.error or ""):
                if (worker, int(fence)) != (move.old_by, move.old_fence):
                    yield f"{move} was written under a hold that was lost"
        before = move.error
    if run.status == "succeeded":
        last = run.moves[-1]
        result = run.result or {}
        if (result.get("worker"), result.get("fence")) != (last.old_by, last.old_fence):
            yield f"its result is of {result} and was written under {last.old_by}/{last.old_fence}"
        elif not any(result["token"] == effect.token for effect in run.effects):
            yield f"it succeeded without the effect of {result}"
        if run.type == "storm.steps" and not {effect.step for effect in run.effects} >= set(range(5)):
            yield "it succeeded without all its steps"


def _executions(run: Run) -> Iterator[str]:
    tokens: dict[tuple[str, int], set[str]] = defaultdict(set)
    for effect in run.effects:
        tokens[effect.worker, effect.fence].add(effect.token)
    for (worker, fence), several in tokens.items():
        if len(several) > 1:
            yield f"{len(several)} executions under {worker}/{fence}"
    if run.status == "succeeded" and not run.effects:
        yield "it succeeded without an effect"
