"""Hints: what the other side asks for in a header becomes ``retry_after`` on the error, or on the answer."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from longrun.chain import leaves

T = TypeVar("T")


class Hints:
    """A layer below the rules of a preset.

    The attribute is the one that every rule, and the baseline of a task around the call, knows: a user's own rule
    honours the header too, and so does whoever gets the error when the wait was too long for this call.
    """

    __slots__ = ("_answer", "_hint", "_name")

    def __init__(
        self, name: str, hint: Callable[[object], float | None], answer: Callable[[object], bool] | None
    ) -> None:
        self._name = name
        self._hint = hint
        self._answer = answer

    async def __call__(self, call: Callable[[], Awaitable[T]], /) -> T:
        try:
            value = await call()
        except Exception as error:
            for leaf in leaves(error):
                self._put(leaf)
            raise
        if self._answer is not None and self._answer(value):
            self._put(value)
        return value

    def describe(self) -> str:
        return f"wait hints of {self._name}"

    def _put(self, subject: object) -> None:
        with suppress(Exception):  # it is the failure that must come out, not what its attributes do
            if getattr(subject, "retry_after", None) is None:
                hint = self._hint(subject)
                if hint is not None:
                    subject.retry_after = hint  # type: ignore[attr-defined]  # a plain attribute of a foreign object
