"""Errors of the inbox; those of the database are in :mod:`orchestrator.sql.errors`.

Exception
 └─ InboxError
     ├─ InvalidIntent         (also a ValueError) a submit with a wrong value; nothing was stored    permanent
     │   └─ InvalidPayload    the payload cannot be stored as JSON                                  permanent
     │       └─ PayloadTooLarge                                                                     permanent
     ├─ InvalidSchedule       (also a ValueError) a schedule with a wrong cron, zone or policy      permanent
     ├─ InvalidQuery          (also a ValueError) a listing with a wrong value                      permanent
     ├─ InvalidHandler        (also a ValueError) a handler that cannot be registered               permanent
     │   └─ DuplicateHandler  two handlers of one type                                              permanent
     ├─ WrongConnection       (also a TypeError) what should join a transaction is no connection to it permanent
     ├─ UnknownRun            no run has this id                                                    permanent
     ├─ UnknownSchedule       no schedule has this id                                               permanent
     ├─ AlreadyFinished       the run has ended, it cannot be cancelled or retried                  permanent
     ├─ IllegalMove           a state does not know this move                                       permanent
     └─ LeaseLost             the run is not held by this worker any more; nothing was changed      permanent
"""


class InboxError(Exception):
    """The inbox refuses what was asked. Asking again will not help."""

    permanent = True


class InvalidIntent(InboxError, ValueError):
    """An intent was submitted with a wrong value. Nothing was stored."""


class InvalidPayload(InvalidIntent):
    """The payload cannot be stored as JSON text."""


class PayloadTooLarge(InvalidPayload):
    """The payload has *size* bytes of JSON and *limit* is the most. Store it elsewhere and submit where it is."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        super().__init__(
            f"{what} is {size} bytes of JSON, {limit} is the most; store it elsewhere and put its address here"
        )
        self.size = size
        self.limit = limit


class InvalidSchedule(InboxError, ValueError):
    """A schedule cannot be as it was given: its cron, its zone or its policy for missed fires. Nothing was stored."""


class InvalidQuery(InboxError, ValueError):
    """A listing was asked with a wrong value."""


class InvalidHandler(InboxError, ValueError):
    """What was registered cannot handle intents."""


class DuplicateHandler(InvalidHandler):
    """Two handlers were registered for one type."""


class WrongConnection(InboxError, TypeError):
    """The connection given to ``submit_in`` cannot carry the intent: another kind of database, or an async one."""


class UnknownRun(InboxError):
    """No run has the id *run_id*."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no run has the id {run_id!r}; see the ids with Inbox.list()")
        self.run_id = run_id


class UnknownSchedule(InboxError):
    """No schedule has the id *schedule_id*, or it was deleted."""

    def __init__(self, schedule_id: str) -> None:
        super().__init__(f"no schedule has the id {schedule_id!r}; list the schedules to see their ids")
        self.schedule_id = schedule_id


#: What to do about a run that cannot be retried from where it is.
_INSTEAD_OF_RETRY = {
    "pending": "it is tried anyway when it is due",
    "leased": "a worker has it; cancel it first to begin anew",
    "succeeded": "submit its intent once more to have it done again",
}


class AlreadyFinished(InboxError):
    """Run *run_id* is in *state*, from which *move* does not lead anywhere."""

    def __init__(self, run_id: str, state: str, move: str) -> None:
        asked = "retry" if move == "requeue" else move  # as the operator calls it
        instead = _INSTEAD_OF_RETRY.get(state, "its state is unknown") if asked == "retry" else "it has ended already"
        super().__init__(f"run {run_id} is {state}; {asked} is not possible from there: {instead}")
        self.run_id = run_id
        self.state = state


class IllegalMove(InboxError):
    """*move* does not lead anywhere from *state*."""

    def __init__(self, state: str, move: str) -> None:
        super().__init__(f"{move} does not lead anywhere from {state}")
        self.state = state
        self.move = move


class LeaseLost(InboxError):
    """Run *run_id* is not held under this lease any more: it expired, or the run was cancelled. Nothing was changed."""

    def __init__(self, run_id: str, worker: str, fence: int) -> None:
        super().__init__(
            f"run {run_id} is not held by {worker!r} under fence {fence} any more: its lease expired or it was "
            "cancelled; stop the work, its outcome is not recorded"
        )
        self.run_id = run_id
        self.worker = worker
        self.fence = fence
