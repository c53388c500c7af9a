"""The bars: what our rows are held against, each with the other figure from the same run."""

from benchmarks.bars import ALL, Bar
from benchmarks.scheduler.rows import (
    ASYNCIO,
    ASYNCIO_TASK,
    FLOOR,
    FULL,
    NATIVE,
    PROTOTYPE_FULL,
    RUNNER,
    SCHEDULER,
    START_SOON,
    TASK_GROUP,
)

#: The calendar's tick, and what may be lost besides, in milliseconds.
TICK_MS, ALLOWANCE_MS = 5.0, 2.0

OURS = (RUNNER, SCHEDULER)
TRIO = ("trio",)
#: The prototype starts its runs as we do: a task of the event loop's own for each, a child of the nursery on trio.
KINDS = ((ASYNCIO, NATIVE), (TRIO, START_SOON))

BARS = (
    *(
        Bar(scenario, ours, metric, backends, (scenario, prototype), limit, "ratio")
        for ours in OURS
        for scenario, metric, limit in (("steady", "bytes", 1.3), ("idle", "start_cpu_s", 3.0))
        for backends, prototype in KINDS
    ),
    *(Bar("idle", ours, "idle_pct", ALL, None, 1.0, "figure", unit="%") for ours in OURS),
    *(Bar("steady", ours, "us_per_run", ASYNCIO, ("steady", ASYNCIO_TASK), 1.0, "ratio") for ours in OURS),
    *(Bar("steady", ours, "p99_ms", ALL, ("floor", FLOOR), TICK_MS + ALLOWANCE_MS, unit="ms") for ours in OURS),
    Bar("steady", FULL, "cpu_pct", ALL, None, 30.0, "figure", unit="%"),
    *(Bar("herd", ours, "herd_s", ALL, None, 4.0, "figure", unit="s") for ours in OURS),
    *(
        Bar("saturation", ours, "rate_core_k", backends, ("saturation", prototype), 0.75, "ratio", least=True)
        for ours in OURS
        for backends, prototype in KINDS
    ),
    *(  # the safe kind that every backend has
        Bar("saturation", ours, "rate_core_k", ASYNCIO, ("saturation", START_SOON), 0.75, "ratio", least=True)
        for ours in OURS
    ),
    Bar(
        "saturation", FULL, "rate_core_k", ASYNCIO, ("saturation", PROTOTYPE_FULL["asyncio"]), 0.75, "ratio", least=True
    ),
    Bar("saturation", FULL, "rate_core_k", TRIO, ("saturation", PROTOTYPE_FULL["trio"]), 0.75, "ratio", least=True),
    Bar("preflights", "longrun Scheduler.check", "cpu_s", ALL, ("preflights", TASK_GROUP), 3.0, "ratio"),
)
