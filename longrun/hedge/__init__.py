"""hedge.after: when an answer is late, ask a second time and take the answer that comes first.

    settings.py   what was asked for, checked                latency.py   the moving quantile of latencies, pure
    layer.py      the option, and what wraps the calls       race.py      one call: who is asked, who wins
    lanes.py      a task group and a timer that cost little as long as nobody is late; asyncio_lanes.py, trio_lanes.py
    events.py     hedge.started, hedge.suppressed, hedge.won, hedge.loser_lingers

For calls that may be carried out twice only: reads, and writes with an idempotency key.
"""

from collections.abc import Callable
from typing import TypeVar

from longrun.durations import Duration
from longrun.hedge.events import HedgeLoserLingers, HedgeStarted, HedgeSuppressed, HedgeWon
from longrun.hedge.layer import After
from longrun.hedge.settings import Settings
from longrun.matching import Errors

__all__ = ["HedgeLoserLingers", "HedgeStarted", "HedgeSuppressed", "HedgeWon", "after"]

T = TypeVar("T")


def after(
    delay: Duration | None = None,
    *,
    quantile: float | None = None,
    extra: int = 1,
    fatal: Errors = (),
    accept: Callable[[T], object] | None = None,
    discard: Callable[[T], object] | None = None,
    name: str | None = None,
    grace: Duration = 5.0,
) -> After:
    """Start another copy of the call when the last one has not answered after *delay* seconds; the first answer wins.

    Or after the *quantile* of the latest latencies (0.95: one call in twenty is hedged); until enough of them are known
    nothing is hedged. With a *name* all options of that name share what they know of latencies; without, the pipeline
    keeps it, so ``do`` refuses a quantile that has no name.

    At most 1 + *extra* copies. A copy that fails starts the next one at once, unless the other side asked for a wait
    or a protecting option refused it. An error that is *fatal* (classes, an instance, a predicate, a tuple; anything
    with ``permanent = True`` always is) ends the race at once. *accept* says whether an answer counts: one that does
    not counts as a failure. When every copy failed, what came of the first one comes out: its own error, with a note
    for each of the others.

    Losers are cancelled and awaited, however long they shield themselves: nothing of a call runs behind its return.
    One that still runs after *grace* seconds is told, by ``hedge.loser_lingers`` and a warning in the log. Answers that
    nobody will get, of copies that answered all the same, are given to *discard*, sync or async, which has 1 s for all
    of them. ValueError (mostly PipelineError) for bad settings.
    """
    return After(Settings.checked(delay, quantile, extra, fatal, accept, discard, grace), name)
