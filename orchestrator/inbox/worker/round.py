"""One transaction of a poller: what it does in it, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.contracts import Connection
from orchestrator.inbox.store.port import Store
from orchestrator.inbox.store.records import ClaimRequest, Promoted, Settled, Swept, Turn
from orchestrator.inbox.worker.executions import Ended

#: Expired leases per sweep.
SWEEP_BATCH = 100

#: Runs per promotion whose time has come.
PROMOTE_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it; None for what was not done."""

    turn: Turn
    swept: Swept | None
    promoted: Promoted | None
    pulse: object


class Round:
    """A unit of work. A claim that finds nothing looks for what became due meanwhile; another round claims that."""

    __slots__ = ("ended", "promote", "register", "request", "store", "sweep")

    def __init__(
        self,
        store: Store,
        ended: Sequence[Ended],
        request: ClaimRequest | None,
        *,
        sweep: bool = False,
        promote: bool = False,
        register: Sequence[str] = (),
    ) -> None:
        self.store = store
        self.ended = ended
        self.request = request
        self.sweep = sweep
        self.promote = promote
        self.register = register

    @property
    def is_turn(self) -> bool:
        """Whether it settles and claims, and nothing else."""
        return not (self.register or self.sweep or self.promote)

    @property
    def size(self) -> int:
        """Runs that it settles or claims, whichever are more."""
        return max(len(self.ended), 0 if self.request is None else self.request.limit)

    def __call__(self, connection: Connection) -> Done:
        store, request = self.store, self.request
        if self.register:
            store.register(connection, self.register)
        outcomes = [Settled(each.execution.claimed.hold, each.outcome) for each in self.ended]
        turn = store.turn(connection, outcomes, request)
        # After the outcomes: nothing could be stored for a while, and their leases may have ended.
        swept = store.sweep(connection, SWEEP_BATCH) if self.sweep else None
        # The same here: what becomes claimable is locked until the end, and outcomes may have to wait for a lock.
        promote = self.promote or (request is not None and not turn.claimed)
        promoted = store.promote(connection, PROMOTE_BATCH) if promote else None
        return Done(turn, swept, promoted, store.pulse(connection))
