"""What is notified on PostgreSQL when there is something to do: one channel per schema, and two words."""

from hashlib import sha256

#: Work was stored that is due now.
WORK = ""

#: Runs were cancelled; whoever executes one of them looks after its leases.
CANCELLED = "cancelled"

_PREFIX = "orchestrator_inbox"
_LONGEST = 63  # bytes; PostgreSQL cuts off what is beyond


def channel(schema: str | None) -> str:
    """The channel of the inbox in *schema*; None is that of the search_path. Channels know no schemas of their own."""
    if schema is None:
        return _PREFIX
    name = f"{_PREFIX}:{schema}"
    return name if len(name.encode()) <= _LONGEST else f"{_PREFIX}:{sha256(schema.encode()).hexdigest()[:40]}"
