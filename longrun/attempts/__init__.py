"""Attempts of tasks, kept over restarts: how often a rule was retried, and when the next attempt is allowed.

The value and its arithmetic: :mod:`longrun.attempts.attempts`. Keys: :mod:`longrun.attempts.keys`. Stores: the port,
memory, a SQLite file, and :class:`GuardedAttempts` around one that may fail.
"""

from longrun.attempts.attempts import TTL, Attempts
from longrun.attempts.events import AttemptStoreFailed, AttemptStoreRecovered
from longrun.attempts.guarded import GuardedAttempts
from longrun.attempts.keys import join, prefix, split
from longrun.attempts.memory import MemoryAttempts
from longrun.attempts.sqlite import SqliteAttempts
from longrun.attempts.store import AttemptStore

__all__ = [
    "TTL",
    "AttemptStore",
    "AttemptStoreFailed",
    "AttemptStoreRecovered",
    "Attempts",
    "GuardedAttempts",
    "MemoryAttempts",
    "SqliteAttempts",
    "join",
    "prefix",
    "split",
]
