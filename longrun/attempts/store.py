"""The port of attempt stores."""

from collections.abc import Mapping
from typing import Protocol

from longrun.attempts.attempts import Attempts


class AttemptStore(Protocol):
    """Attempts by key (:mod:`longrun.attempts.keys`). Expired ones are as if they were not there, and are cleaned away.

    A store raises what it likes: a runner holds it in :class:`longrun.attempts.GuardedAttempts`, which raises nothing.
    Every store passes one suite: ``tests/contracts/test_attempt_store_contract.py``.
    """

    async def increment(self, key: str, *, wait: float, not_before: float, by: int = 1) -> int:
        """*by* retries more under *key*, the last of them after *wait* seconds, at *not_before* (wall clock).

        Returns the new count. Atomic: increments of several processes all count. ValueError for nonsense.
        """
        ...

    async def get(self, key: str) -> Attempts | None:
        """What is kept under *key*."""
        ...

    async def load(self, prefix: str) -> Mapping[str, Attempts]:
        """What is kept under the keys that begin with *prefix*, which ends with ``/``: of a task, or of a namespace."""
        ...

    async def reset(self, prefix: str) -> None:
        """Forget the one key *prefix*, or, when it ends with ``/``, all keys that begin with it."""
        ...
