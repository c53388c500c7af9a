"""Payloads as their handlers want them: decoded JSON, or checked against a model. pydantic is imported for models."""

from collections.abc import Callable
from typing import Any, TypeAlias, cast

from orchestrator.inbox.errors import InvalidHandler
from orchestrator.inbox.wire import decode

#: From the stored bytes to what a handler gets. Raises Unreadable.
Read: TypeAlias = Callable[[bytes], Any]

#: Fields that one message names.
_NAMED = 5


class Unreadable(ValueError):
    """The stored payload is none that the handler can be given; trying again would not help."""


def reader(model: object, type_: str) -> Read:
    """How payloads of *type_* are read; *model* is what ``payload=`` of the handler says. Raises InvalidHandler."""
    if model is None:
        return _plain
    try:
        from pydantic import TypeAdapter, ValidationError
        from pydantic.errors import PydanticUserError
    except ModuleNotFoundError:
        raise InvalidHandler(f"handler of {type_!r}: payload={_name(model)} needs pydantic; install it") from None
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(cast("type[Any]", model))
        if not getattr(adapter, "pydantic_complete", True):  # what was not defined yet is by now, or never will be
            adapter.rebuild()
    except PydanticUserError as error:
        raise InvalidHandler(
            f"handler of {type_!r}: payload is {model!r}, which is no type that can be checked ({_first(error)}); "
            "give a pydantic model, a dataclass or a TypedDict, below Python 3.12 that of typing_extensions"
        ) from None
    except NameError as error:
        raise InvalidHandler(
            f"handler of {type_!r}: payload is {model!r}, whose annotations cannot be understood ({_first(error)}); "
            "import or define what they name where the model is defined"
        ) from None

    def read(stored: bytes) -> Any:  # noqa: ANN401 - the model's type, or any JSON value
        try:
            return adapter.validate_json(stored)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            if found and found[0]["type"] == "json_invalid":
                _plain(stored)  # which says so in the words of all payloads
            named = "; ".join(
                f"{'.'.join(map(str, each['loc'])) or 'the payload'}: {each['msg']}" for each in found[:_NAMED]
            )
            more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            raise Unreadable(
                f"the payload does not fit {_name(model)}: {named}{more}; submit it anew with what the handler expects"
            ) from None

    return read


def _plain(stored: bytes) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return decode(stored)
    except ValueError as error:
        raise Unreadable(f"the payload cannot be read as JSON: {error}; cancel this run and submit it anew") from None


def _first(error: Exception) -> str:
    """What it says, without where to read on."""
    return str(error).partition("\n")[0].rstrip(".")


def _name(model: object) -> str:
    return str(getattr(model, "__qualname__", None) or repr(model))
