"""The states of a run and the moves between them, as data.

pending ──claim──▶ leased ──succeed──▶ succeeded
   ▲ │               │ ├──fail─────▶ failed        (also: exhaust, of a lease that expired too often)
   │ │               │ └──cancel───▶ cancelled
   │ ├──cancel──▶ cancelled
   │ └──refuse──▶ failed           (claimed too often)
   ├── retry, release, expire ◀──┘
   └── requeue ◀── failed, cancelled               (an operator)
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from orchestrator.inbox.errors import IllegalMove


class State(StrEnum):
    """The five states of the wire format."""

    PENDING = "pending"
    LEASED = "leased"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Move(StrEnum):
    """What can happen to a run."""

    CLAIM = "claim"
    """A worker takes it under a lease."""
    SUCCEED = "succeed"
    """Its handler returned."""
    RETRY = "retry"
    """Its handler raised and it is tried again later."""
    FAIL = "fail"
    """Its handler raised for the last time, or for good."""
    RELEASE = "release"
    """Its worker gives it back untouched; the claim is refunded."""
    EXPIRE = "expire"
    """Its worker was not heard of for a whole lease."""
    EXHAUST = "exhaust"
    """The same, once too often."""
    REFUSE = "refuse"
    """It was claimed too often to be claimed again."""
    CANCEL = "cancel"
    """Somebody wants it no more."""
    REQUEUE = "requeue"
    """An operator wants it after all; its counters begin anew."""


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

TRANSITIONS: Mapping[tuple[State, Move], State] = MappingProxyType(
    {
        (State.PENDING, Move.CLAIM): State.LEASED,
        (State.PENDING, Move.REFUSE): State.FAILED,
        (State.PENDING, Move.CANCEL): State.CANCELLED,
        (State.LEASED, Move.SUCCEED): State.SUCCEEDED,
        (State.LEASED, Move.RETRY): State.PENDING,
        (State.LEASED, Move.FAIL): State.FAILED,
        (State.LEASED, Move.RELEASE): State.PENDING,
        (State.LEASED, Move.EXPIRE): State.PENDING,
        (State.LEASED, Move.EXHAUST): State.FAILED,
        (State.LEASED, Move.CANCEL): State.CANCELLED,
        (State.FAILED, Move.REQUEUE): State.PENDING,
        (State.CANCELLED, Move.REQUEUE): State.PENDING,
    }
)

#: The event that records each move: its type (the wire format knows eight), and the reason in its data where the type
#: alone does not tell.
EVENTS: Mapping[Move, tuple[str, str | None]] = MappingProxyType(
    {
        Move.CLAIM: ("leased", None),
        Move.SUCCEED: ("succeeded", None),
        Move.RETRY: ("retried", None),
        Move.FAIL: ("failed", None),
        Move.RELEASE: ("retried", "released"),
        Move.EXPIRE: ("retried", "lease_expired"),
        Move.EXHAUST: ("failed", "lease_expired"),
        Move.REFUSE: ("failed", "claimed_too_often"),
        Move.CANCEL: ("cancelled", None),
        Move.REQUEUE: ("retried", "operator"),
    }
)

#: Claims beyond max_attempts before a run counts as one that kills its workers.
CRASH_ALLOWANCE = 3


def after(state: State, move: Move) -> State:
    """The state that *move* leads to. Raises IllegalMove."""
    try:
        return TRANSITIONS[state, move]
    except KeyError:
        raise IllegalMove(state, move) from None


def sources(move: Move) -> tuple[State, ...]:
    """The states that know *move*."""
    return tuple(state for state, known in TRANSITIONS if known is move)


def on_expiry(*, claims: int, attempt: int, max_attempts: int) -> Move:
    """What becomes of a run whose lease expired; *attempt* counts the failures before this one.

    Claims are counted by our workers alone, so the failures bound what workers of other programs keep dropping.
    """
    return Move.EXHAUST if max(claims, attempt + 1) >= max_attempts + CRASH_ALLOWANCE else Move.EXPIRE


def on_claim(*, claims: int, max_attempts: int) -> Move:
    """What becomes of a due run that a worker would take."""
    return Move.REFUSE if claims >= max_attempts + CRASH_ALLOWANCE else Move.CLAIM
