"""The bars: what our rows are held against."""

from benchmarks.bars import ALL, Bar

PIPELINE = "longrun Pipeline(retry, timeout, breaker)"
BARE = ("bare", "bare")

BARS = (
    Bar("retry", "longrun Pipeline.do(retry)", "ok", ALL, BARE, 0.30),
    Bar("retry", "longrun do(retry), ready option", "ok", ALL, BARE, 0.30),
    Bar("retry", "longrun Pipeline.do(retry)", "ok", ALL, ("retry", "nopanic"), 1.0, kind="ratio"),
    Bar(
        "retry",
        "longrun Pipeline.do(trace, retry), no provider",
        "ok",
        ALL,
        ("retry", "longrun Pipeline.do(retry)"),
        0.10,
    ),
    Bar("breaker", "longrun breaker, failure rate", "ok", ALL, BARE, 1.0),
    Bar("breaker", "longrun breaker, failure rate", "ok", ALL, ("breaker", "nopanic"), 1.0, kind="ratio"),
    Bar("breaker", "longrun breaker, in a row", "ok", ALL, BARE, 1.0),
    Bar("bulkhead", "longrun bulkhead", "ok", ALL, BARE, 1.0),
    Bar("bulkhead", "longrun bulkhead", "ok", ALL, ("bulkhead", "nopanic"), 1.0, kind="ratio"),
    Bar("ratelimit", "longrun ratelimit", "ok", ALL, BARE, 1.0),
    Bar("ratelimit", "longrun ratelimit", "ok", ALL, ("ratelimit", "nopanic"), 1.0, kind="ratio"),
    Bar("hedge", "longrun hedge, not fired", "ok", ("asyncio", "uvloop"), ("hedge", "nopanic"), 0.6, kind="ratio"),
    Bar("hedge", "longrun hedge, not fired", "ok", ("trio",), ("hedge", "nopanic"), 1.15, kind="ratio"),
    Bar("pipeline", PIPELINE, "ok", ALL, ("pipeline", "nopanic"), 1.15, kind="ratio"),
    Bar("pipeline", PIPELINE, "fail2", ("asyncio",), ("pipeline", "nopanic"), 0.85, kind="ratio"),
    Bar("pipeline", PIPELINE, "fail2", ("trio",), ("pipeline", "nopanic"), 0.62, kind="ratio"),
)
