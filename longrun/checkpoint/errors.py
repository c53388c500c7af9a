"""Errors of checkpoints.

    LongrunError
     └─ CheckpointError              ``key`` names the checkpoint
         ├─ CheckpointUnreachable    the store failed or did not answer; its own error is the cause    retryable
         ├─ CheckpointCorrupt        what is stored is not a state of ours                             permanent
         ├─ CheckpointNewer          what is stored was written by a newer release                     permanent
         └─ CheckpointStateError     (also a ValueError) the state cannot be stored                    permanent

A miss is no error: ``load()`` gives None. A cause that is permanent by itself (a read-only file) is so here as well.
"""

from longrun.errors import LongrunError


class CheckpointError(LongrunError):
    """The checkpoint *key* cannot do what was asked."""

    def __init__(self, message: str, key: str) -> None:
        super().__init__(message)
        self.key = key


class CheckpointUnreachable(CheckpointError):
    """The store failed, or did not answer in time. A state that was to be saved is kept as pending."""

    retryable = True


class CheckpointCorrupt(CheckpointError):
    """What is stored under the key is damaged, or was written by something else. It is left as it is."""

    permanent = True


class CheckpointNewer(CheckpointError):
    """What is stored has the format of a newer release. It is left as it is."""

    permanent = True


class CheckpointStateError(CheckpointError, ValueError):
    """The state cannot be turned into bytes. Nothing of it was kept."""

    permanent = True
