"""How many runs to claim: what there are slots for, and a little ahead where handlers are quick."""

#: The most runs that one claim takes.
BATCH = 250

#: Seconds of work that are claimed ahead. So long may a run wait here which another worker would have started.
AHEAD = 0.2

#: The most runs that are claimed ahead: one claim waits here while the next one is under way.
MOST_AHEAD = 2 * BATCH


def wanted(*, free: int, slots: int, pace: float | None) -> int:
    """Runs to claim now: *free* slots that nothing is meant for, fewer than none when runs were claimed ahead.

    *pace*: seconds that a handler takes. Nothing is claimed ahead until that is known, nor when all slots together
    would take longer for one run each than :data:`AHEAD`.
    """
    ahead = 0
    if pace is not None and pace * slots <= AHEAD:
        ahead = MOST_AHEAD if pace * MOST_AHEAD <= AHEAD * slots else int(AHEAD * slots / pace)
    return max(0, min(BATCH, free + ahead))
