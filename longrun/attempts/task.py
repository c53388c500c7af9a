"""What a runner holds of one task: its own keys, and no others."""

from collections.abc import Mapping

from longrun.attempts.attempts import Attempts
from longrun.attempts.keys import join, prefix, split
from longrun.attempts.store import AttemptStore


class TaskAttempts:
    """The attempts of *task* in *namespace*, by the name of the rule. Touches no other task's.

    A success costs nothing while nothing is stored: :meth:`reset` asks the store only when something may be there.
    """

    __slots__ = ("_maybe_stored", "_namespace", "_store", "_task")

    def __init__(self, store: AttemptStore, namespace: str, task: str) -> None:
        prefix(namespace, task)  # a ValueError now, not at the first failure
        self._store = store
        self._namespace = namespace
        self._task = task
        self._maybe_stored = True

    async def load(self) -> Mapping[str, Attempts]:
        """What a life before has left, in one read."""
        found = await self._store.load(prefix(self._namespace, self._task))
        self._maybe_stored = bool(found)
        return {split(key)[2]: attempts for key, attempts in found.items()}

    async def increment(self, rule: str, *, wait: float, not_before: float) -> int:
        """A failure: one retry more of *rule*, after *wait* seconds, at *not_before* (wall clock)."""
        self._maybe_stored = True
        return await self._store.increment(join(self._namespace, self._task, rule), wait=wait, not_before=not_before)

    async def reset(self) -> None:
        """A success: every budget is full again. Done again next time when the store raised."""
        if self._maybe_stored:
            await self._store.reset(prefix(self._namespace, self._task))
            self._maybe_stored = False

    def __repr__(self) -> str:
        return f"<TaskAttempts {prefix(self._namespace, self._task)}>"
