"""The port of checkpoint stores."""

from typing import Protocol


class CheckpointStore(Protocol):
    """Bytes by key. A store raises what it likes: :class:`longrun.checkpoint.Checkpoint` names it unreachable.

    Every store passes one suite: ``tests/contracts/test_checkpoint_store_contract.py``.
    """

    async def save(self, key: str, state: bytes) -> None:
        """Put *state* in the place of what *key* had, all of it or nothing. It is stored when this returns."""
        ...

    async def load(self, key: str) -> bytes | None:
        """The bytes that were saved last; None only when there are none."""
        ...

    async def delete(self, key: str) -> None:
        """Forget *key*; no error when there was nothing."""
        ...
