"""Checkpoint: the handle with which work keeps where it got to."""

import logging
from collections.abc import Callable
from enum import Enum
from random import Random
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

import anyio

from longrun.backoff import DEFAULT, Backoff
from longrun.checkpoint.codec import Codec, Json
from longrun.checkpoint.envelope import seal, undecodable, unseal
from longrun.checkpoint.errors import CheckpointStateError, CheckpointUnreachable
from longrun.checkpoint.store import CheckpointStore
from longrun.clock import now
from longrun.durations import Duration, seconds

S = TypeVar("S")

_log = logging.getLogger("longrun.checkpoint")


class Saved(Enum):
    """What became of a state.

    PERSISTED: the store has it, or a newer one. THROTTLED: it is kept as pending, for a later save or for ``flush``.
    """

    PERSISTED = "persisted"
    THROTTLED = "throttled"


class _Pending(NamedTuple):
    number: int
    data: bytes


class Checkpoint(Generic[S]):
    """The state under *key* in *store*, written at most every *interval* seconds (0: each time).

    The first save always writes. The throttle moves only with a successful write, so a state is never taken for stored
    when it is not; the newest throttled state is kept as pending and goes with the next write or with :meth:`flush`,
    which ``async with`` calls at the end. Nothing is written in the background. After a failed write the store is left
    alone for as long as *backoff* says: saves meanwhile are THROTTLED. *flush_timeout*: seconds that a flush may take.

    States may be saved from several tasks: a newer one is never overwritten by an older one. A state is turned into
    bytes when it is saved, so it may be changed afterwards. What is loaded has the type that the annotation says
    (``progress: Checkpoint[Page] = Checkpoint(store, "poll")``); the default codec is JSON and does not check it. None
    is not a state, for it would look like a miss.
    """

    def __init__(
        self,
        store: CheckpointStore,
        key: str,
        *,
        interval: Duration = 5.0,
        clock: Callable[[], float] = now,
        codec: Codec[S] | None = None,
        backoff: Backoff = DEFAULT,
        flush_timeout: Duration = 5.0,
        rng: Random | None = None,
    ) -> None:
        if not isinstance(key, str) or not key or not key.isprintable():
            raise ValueError(f"Checkpoint key is {key!r}; give a non-empty, printable text")
        if not callable(backoff):
            raise ValueError(f"Checkpoint backoff is {backoff!r}; give a curve such as backoff.exponential(1, 30)")
        self.key = key
        self._store = store
        self._interval = seconds(interval, "Checkpoint interval", zero=True)
        self._clock = clock
        self._codec: Codec[S] = Json() if codec is None else codec
        self._backoff = backoff
        self._flush_timeout = seconds(flush_timeout, "Checkpoint flush_timeout")
        self._rng = rng or Random()
        self._lock = anyio.Lock()
        self._count = 0
        self._settled = 0  # the number of the newest state that was written or cleared away
        self._pending: _Pending | None = None
        self._throttled_until: float | None = None
        self._failing_until: float | None = None
        self._failures = 0
        self._last_wait = 0.0

    @property
    def pending(self) -> bool:
        """Whether a state waits to be written."""
        return self._pending is not None

    async def save(self, state: S) -> Saved:
        """Write *state* if it is time, else keep it as pending.

        CheckpointUnreachable when the store was asked and failed; the state is pending then, as it is when the caller
        is cancelled. CheckpointStateError, a ValueError, for a state that cannot be stored.
        """
        data = seal(self._encode(state))
        mine = self._next_number()
        self._pending = _Pending(mine, data)
        async with self._lock:
            if mine <= self._settled:
                return Saved.PERSISTED  # somebody who had the lock before has written a newer state
            if self._must_wait():
                return Saved.THROTTLED
            await self._write()
            return Saved.PERSISTED

    async def load(self) -> S | None:
        """The state in the store, as a new start would find it; None only when there is none.

        CheckpointUnreachable, CheckpointCorrupt, CheckpointNewer.
        """
        try:
            data = await self._store.load(self.key)
        except Exception as error:
            raise self._unreachable("loaded", error) from error
        if data is None:
            return None
        payload = unseal(data, self.key)
        try:
            state = self._codec.decode(payload)
        except Exception as error:
            raise undecodable(self.key, error) from error
        if state is None:
            raise undecodable(self.key, "the codec gave None")
        return state

    async def flush(self) -> None:
        """Write what is pending, whatever the throttle and the backoff say; not cut off by a cancellation.

        CheckpointUnreachable when the store fails or does not answer in time; the state stays pending.
        """
        if self._pending is None:
            return
        with anyio.move_on_after(self._flush_timeout, shield=True) as limit:
            async with self._lock:
                if self._pending is not None:
                    await self._write()
        if limit.cancelled_caught:
            self._failed()
            raise self._unreachable("saved", f"no answer within {self._flush_timeout:g} s")

    async def clear(self) -> None:
        """Forget the state, a pending one included: the work is done. CheckpointUnreachable when the store fails."""
        mine = self._next_number()
        async with self._lock:
            self._settled = mine
            if self._pending is not None and self._pending.number < mine:
                self._pending = None
            try:
                await self._store.delete(self.key)
            except Exception as error:
                raise self._unreachable("cleared", error) from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        try:
            await self.flush()
        except CheckpointUnreachable:
            if error is None:
                raise
            # What ends the block matters more, above all a cancellation.
            _log.exception("checkpoint %r lost its last state", self.key)

    def __repr__(self) -> str:
        return f"<Checkpoint {self.key!r} in {self._store!r}{': a state is pending' if self.pending else ''}>"

    # -- under the lock ----------------------------------------------------------------------------------------------

    def _must_wait(self) -> bool:
        at = self._clock()
        return any(until is not None and at < until for until in (self._throttled_until, self._failing_until))

    async def _write(self) -> None:
        pending = self._pending
        if pending is None:
            return
        try:
            await self._store.save(self.key, pending.data)
        except Exception as error:
            self._failed()
            raise self._unreachable("saved", error) from error
        self._settled = pending.number
        if self._pending is pending:
            self._pending = None
        self._throttled_until = self._clock() + self._interval
        self._failing_until = None
        self._failures, self._last_wait = 0, 0.0

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _next_number(self) -> int:
        self._count += 1
        return self._count

    def _encode(self, state: S) -> bytes:
        if state is None:
            raise CheckpointStateError(
                f"the state of checkpoint {self.key!r} is None, which would look like a miss; clear() it instead",
                self.key,
            )
        try:
            return bytes(self._codec.encode(state))
        except Exception as error:
            raise CheckpointStateError(
                f"the state of checkpoint {self.key!r} cannot be stored: {error}; give a state that its codec "
                f"{type(self._codec).__name__} can hold, or a codec that can hold it",
                self.key,
            ) from error

    def _failed(self) -> None:
        wait = seconds(self._backoff(self._failures, self._last_wait, self._rng), "Checkpoint backoff", zero=True)
        self._failures += 1
        self._last_wait = wait
        self._failing_until = self._clock() + wait

    def _unreachable(self, what: str, why: object) -> CheckpointUnreachable:
        kept = "; the state is kept and tried again" if what == "saved" else ""
        return CheckpointUnreachable(
            f"checkpoint {self.key!r} could not be {what} in {self._store!r}: {str(why) or repr(why)}{kept}", self.key
        )
