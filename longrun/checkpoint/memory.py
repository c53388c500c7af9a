"""Checkpoints that live as long as the process."""


class MemoryCheckpoints:
    """A :class:`longrun.checkpoint.CheckpointStore` in memory: for tests, and for retries within one process."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    async def save(self, key: str, state: bytes) -> None:
        """See the port."""
        self._kept[key] = bytes(state)

    async def load(self, key: str) -> bytes | None:
        """See the port."""
        return self._kept.get(key)

    async def delete(self, key: str) -> None:
        """See the port."""
        self._kept.pop(key, None)

    def __repr__(self) -> str:
        return f"<MemoryCheckpoints: {len(self._kept)}>"
