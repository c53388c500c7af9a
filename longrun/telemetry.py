"""How an event becomes attributes: one set of names for spans, metrics and log lines."""

from dataclasses import fields
from enum import Enum

from longrun.events import Event

#: What an attribute of OpenTelemetry may be.
Value = str | bool | int | float


def error_type(error: BaseException) -> str:
    """``error.type`` of the semantic conventions: the qualified name of the class, bare for the builtin ones."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def attributes_of(event: Event) -> dict[str, Value]:
    """The fields of *event* that are set, as ``longrun.<field>``; an error by its type and message."""
    found: dict[str, Value] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, BaseException):
            found["error.type"] = error_type(value)
            found["error.message"] = str(value)
        elif isinstance(value, Enum):
            found[f"longrun.{field.name}"] = value.name.lower()
        elif isinstance(value, str | bool | int | float):
            found[f"longrun.{field.name}"] = value
        elif value is not None:
            found[f"longrun.{field.name}"] = str(value)
    return found
