"""How states become bytes: JSON, or what the application brings."""

import json
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar, cast

S = TypeVar("S")


class Codec(Protocol[S]):
    """Turns states into bytes and back. What it raises is told as an error of the checkpoint."""

    def encode(self, state: S, /) -> bytes:
        """*state* as bytes."""
        ...

    def decode(self, data: bytes, /) -> S:
        """The state that was encoded."""
        ...


class Json(Generic[S]):
    """JSON. The type that is loaded is what the application says it saved; nothing checks it.

    What would come back as something else is refused with a ValueError: NaN, infinity, keys that are no text. Tuples
    come back as lists.
    """

    def encode(self, state: S, /) -> bytes:
        """*state* as ASCII text."""
        text = json.dumps(state, allow_nan=False, separators=(",", ":"))
        _check_keys(state)
        return text.encode()

    def decode(self, data: bytes, /) -> S:
        """The state; ValueError for what is not JSON."""
        return cast("S", json.loads(data))


def _check_keys(value: object) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} of a mapping would come back as text; make it text")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)
