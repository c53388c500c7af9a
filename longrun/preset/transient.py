"""Transient: what the rule of a preset means, errors and answers alike."""

from collections.abc import Callable

from longrun.matching import Matcher, Unwanted


class Transient(Matcher):
    """A matcher of one rule about errors *and* answers: a 503 returned and a 503 raised spend the same retries."""

    __slots__ = ("_answer",)

    def __init__(
        self, description: str, error: Callable[[Exception], bool], answer: Callable[[object], bool] | None = None
    ) -> None:
        super().__init__(error)
        self.description = description
        self._answer = answer

    def matches(self, error: BaseException) -> bool:
        if isinstance(error, Unwanted):
            return self._answer is not None and self._answer(error.value)
        return super().matches(error)
