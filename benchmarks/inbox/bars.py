"""The bars: what our rows are held against, each with the other figure from the same run."""

from benchmarks.bars import Bar
from benchmarks.inbox import rows
from benchmarks.inbox.rows import OURS, PGQUEUER, POSTGRES, RAW, SQLITE, STDLIB, WITHIN

_P, _S = (POSTGRES,), (SQLITE,)
_PEERS = ("procrastinate", "chancy", "oban", "dbos")


def _least(scenario: str, metric: str, other: str, limit: float, backends: tuple[str, ...] = _P) -> Bar:
    return Bar(scenario, OURS, metric, backends, (scenario, other), limit, "ratio", least=True)


def _flat(scenario: str, metric: str, few: str, many: str, limit: float = 1.3) -> Bar:
    return Bar(scenario, many, metric, _P, (scenario, few), limit, "ratio")


BARS = (
    _least("drain", "per_s", RAW, 0.6),
    _least("drain", "per_s", PGQUEUER, 1.8),
    *(_least("drain", "per_s", peer, 1.8) for peer in _PEERS),
    Bar("drain", OURS, "server_us", _P, None, 25.0, "figure"),
    Bar("drain", OURS, "wal_b", _P, None, 1800.0, "figure", unit="B"),
    _least("replicas", "per_s", PGQUEUER, 3.0),
    _least("submit", "single_per_s", PGQUEUER, 1.4),
    Bar("submit", OURS, "concurrent_per_s", _P, None, 20_000.0, "figure", least=True, unit="/s"),
    _least("submit", "bulk_per_s", PGQUEUER, 1.5),
    Bar("pickup", OURS, "p50_ms", _P, None, 3.0, "figure", unit="ms"),
    *(Bar("pickup", OURS, "p50_ms", _P, ("pickup", peer), 1.0, "ratio") for peer in (PGQUEUER, *_PEERS)),
    Bar("pickup", WITHIN, "p50_ms", _S, None, 5.0, "figure", unit="ms"),
    _least("drain", "per_s", STDLIB, 0.5, _S),
    *(_least("submit", metric, STDLIB, 0.5, _S) for metric in ("single_per_s", "bulk_per_s")),
    Bar("idle", OURS, "tx_per_s", _P, None, 2.0, "figure", unit="/s"),
    _flat("tenants", "server_us", rows.FEW_TENANTS, rows.MANY_TENANTS),
    _flat("tenants", "rss_mib", rows.FEW_TENANTS, rows.MANY_TENANTS),
    _flat("tenants", "server_us", rows.FEW_TYPES, rows.MANY_TYPES),
    _flat("growth", "server_ms", rows.FEW_ENDED, rows.MANY_ENDED),
    _flat("growth", "server_ms", rows.FEW_PENDING, rows.MANY_PENDING),
    _flat("growth", "server_ms", rows.NO_FUTURE, rows.FUTURE),
    _flat("growth", "server_ms", rows.NO_SNAPSHOT, rows.SNAPSHOT, 1.6),
)
