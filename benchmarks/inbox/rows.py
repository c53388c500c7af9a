"""The rows: a system in a scenario."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.inbox import growth, scenarios
from benchmarks.inbox.scenarios import Measure

POSTGRES, SQLITE = "postgres", "sqlite"
BACKENDS = (POSTGRES, SQLITE)

#: In the order in which they are measured and told.
SCENARIOS = ("drain", "replicas", "submit", "pickup", "idle", "tenants", "growth")

OURS, DEFAULTS, TRIO = "longrun", "longrun, 10 at a time", "longrun, trio"
WITHIN = "longrun, one process"
RAW, STORE, STDLIB = "floor: raw SQL", "floor: our store", "floor: sqlite3"
COALESCED, NOTIFIED = "floor: raw, coalesced", "floor: raw NOTIFY"
PGQUEUER = "pgqueuer"

_LONGRUN = "longrun:Longrun"
_PEERS = (
    (PGQUEUER, "pgqueuer:Peer"),
    ("procrastinate", "procrastinate:Peer"),
    ("chancy", "chancy:Peer"),
    ("oban", "oban:Peer"),
    ("dbos", "dbos:Peer"),
)
#: How much of the others' number a system is given, which would take minutes otherwise.
_SHARES = {"procrastinate": 0.03, "chancy": 0.2, "oban": 0.2, "dbos": 0.03}

_MEASURES: dict[str, Measure] = {
    "drain": scenarios.drain,
    "replicas": scenarios.drain,
    "submit": scenarios.submit,
    "pickup": scenarios.pickup,
    "idle": scenarios.idle,
    "tenants": scenarios.drain,
    "growth": growth.turns,
}


@dataclass(frozen=True, slots=True)
class Row:
    """*quick*: part of a first look. *share* of the scenario's number. *condition*: what the tables look like."""

    scenario: str
    name: str
    system: str
    measure: Measure
    backend: str = POSTGRES
    quick: bool = True
    share: float = 1.0
    workers: int = 1
    loop: str = "uvloop"
    condition: str = ""
    options: tuple[tuple[str, int | str], ...] = ()


def _row(scenario: str, name: str, system: str, **more: object) -> Row:
    return Row(scenario, name, system, **{"measure": _MEASURES[scenario], **more})  # type: ignore[arg-type] # fields of a Row, as the rows below name them


def _peers(scenario: str, *names: str, **more: object) -> Iterator[Row]:
    for name, system in _PEERS:
        if not names or name in names:
            quick = name == PGQUEUER
            yield _row(scenario, name, system, share=_SHARES.get(name, 1.0), quick=quick, **more)


def _tenants(name: str, number: int, *, types: bool, quick: bool = True) -> Row:
    options = (("tenants", number), ("types", int(types)))
    return _row("tenants", name, _LONGRUN, options=options, quick=quick)


def _growth(name: str, condition: str) -> Row:
    return _row("growth", name, _LONGRUN, condition=condition)


#: Of the conditions: numbers in thousands; a quick run has a tenth of those above 50.
FEW_ENDED, MANY_ENDED = "claim, 1 k ended", "claim, 1 M ended"
FEW_PENDING, MANY_PENDING = "claim, 1 k pending", "claim, 1 M pending"
NO_FUTURE, FUTURE = "claim, none in the future", "claim, 100 k in the future"
NO_SNAPSHOT, SNAPSHOT = "claim, 100 k pending", "claim, 100 k pending, a snapshot held"
FEW_TENANTS, MANY_TENANTS = "longrun, 10 tenants", "longrun, 10,000 tenants"
FEW_TYPES, MANY_TYPES = "longrun, 10 types", "longrun, 10,000 types"

ROWS: tuple[Row, ...] = (
    _row("drain", OURS, _LONGRUN),
    _row("drain", DEFAULTS, _LONGRUN, options=(("concurrency", 10),), quick=False),
    _row("drain", TRIO, _LONGRUN, loop="trio", quick=False),
    _row("drain", RAW, "floor:Floor"),
    _row("drain", STORE, "floor:StoreLoop"),
    *_peers("drain"),
    _row("drain", OURS, _LONGRUN, backend=SQLITE),
    _row("drain", STDLIB, "sqlite_floor:Floor", backend=SQLITE),
    _row("replicas", OURS, _LONGRUN, workers=8),
    _row("replicas", RAW, "floor:Floor", workers=8),
    *_peers("replicas", PGQUEUER, workers=8),
    _row("submit", OURS, _LONGRUN),
    _row("submit", RAW, "floor:Floor"),
    _row("submit", COALESCED, "floor:Coalesced"),
    *_peers("submit"),
    _row("submit", OURS, _LONGRUN, backend=SQLITE),
    _row("submit", STDLIB, "sqlite_floor:Floor", backend=SQLITE),
    _row("pickup", OURS, _LONGRUN),
    _row("pickup", NOTIFIED, "floor:Notified"),
    *_peers("pickup"),
    _row("pickup", WITHIN, _LONGRUN, backend=SQLITE, measure=scenarios.pickup_within),
    _row("pickup", "longrun, two processes", _LONGRUN, backend=SQLITE, quick=False),
    _row("idle", OURS, _LONGRUN),
    *_peers("idle"),
    _tenants(FEW_TENANTS, 10, types=False),
    _tenants(MANY_TENANTS, 10_000, types=False),
    _tenants(FEW_TYPES, 10, types=True),
    _tenants(MANY_TYPES, 10_000, types=True),
    _growth(FEW_ENDED, "ended=1000 pending=20000"),
    _growth(MANY_ENDED, "ended=1000000 pending=20000"),
    _growth(FEW_PENDING, "pending=1050 batch=25"),
    _growth(MANY_PENDING, "pending=1000000 batch=25"),
    _growth(NO_FUTURE, "pending=20000"),
    _growth(FUTURE, "pending=20000 future=100000"),
    _growth(NO_SNAPSHOT, "pending=100000 whole=1"),
    _growth(SNAPSHOT, "pending=100000 whole=1 snapshot=1"),
)


def find(scenario: str, name: str, backend: str = "") -> Row:
    """The row *name* of *scenario*, on any database when there is but one."""
    return next(row for row in ROWS if (row.scenario, row.name) == (scenario, name) and backend in ("", row.backend))
