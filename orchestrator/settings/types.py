"""Types of single settings, for the framework's sections and for a team's own."""

import unicodedata
from typing import Annotated, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from orchestrator.contracts.specs import SHORTEST_INTERVAL

_PLAIN = (bool, int, float, str)


def _finite(least: float) -> WrapValidator:
    """One sentence for whatever is wrong with a number of seconds; a bool is not a number here."""

    def check(value: object, inner: ValidatorFunctionWrapHandler) -> object:
        try:
            if not isinstance(value, bool):
                return inner(value)
        except ValidationError:
            pass
        raise PydanticCustomError(
            "seconds", "it must be seconds as a finite number, at least {least}", {"least": f"{least:g}"}
        )

    return WrapValidator(check)


def _switch_or_seconds(value: object, inner: ValidatorFunctionWrapHandler) -> object:
    """Environment variables are text: tell the two meanings apart before the union guesses."""
    words: dict[object, bool] = {"true": True, "false": False}
    if isinstance(value, str):
        value = words.get(value.strip().lower(), value)
    try:
        return inner(value if isinstance(value, bool) else float(value)) if isinstance(value, _PLAIN) else inner(None)
    except (ValidationError, ValueError, OverflowError):
        raise PydanticCustomError(
            "switch_or_seconds", "it must be true, false, or seconds as a finite number, at least 0"
        ) from None


def _one_line(value: object) -> object:
    """A secret read from a file ends with the newline that its editor put there; one inside is a broken secret."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        raise PydanticCustomError("secret", "it must be text")
    text = text.rstrip("\r\n")
    if not text.strip():
        raise PydanticCustomError("secret", "it must not be empty")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise PydanticCustomError(
            "secret", "it must be one line of text without newline, NUL or other control characters"
        )
    return SecretStr(text)


#: A duration in seconds: finite, at least 0.
Seconds: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False), _finite(0)]

#: A repeat interval in seconds: finite, at least 0.005, the grid of the scheduler's calendar.
Interval: TypeAlias = Annotated[float, Field(ge=SHORTEST_INTERVAL, allow_inf_nan=False), _finite(SHORTEST_INTERVAL)]

#: One line of text that is never printed. Read it with ``.get_secret_value()``.
Secret: TypeAlias = Annotated[SecretStr, BeforeValidator(_one_line)]

#: On, off, or a duration in seconds.
SwitchOrSeconds: TypeAlias = Annotated[bool | Seconds, WrapValidator(_switch_or_seconds)]
