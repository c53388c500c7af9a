"""Values as the tables hold them: JSON text, and times as UTC text that sorts."""

import dataclasses
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn

from orchestrator.contracts import JsonValue
from orchestrator.inbox.errors import InboxError, InvalidPayload, PayloadTooLarge

#: Bytes of JSON that a payload or a result may have.
PAYLOAD_LIMIT = 1024 * 1024

#: Characters of an error that are stored.
ERROR_LIMIT = 4000

_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def encode(value: object, what: str, limit: int = PAYLOAD_LIMIT) -> str:
    """*value* as JSON text; dataclasses and pydantic models are taken apart. InvalidPayload names *what*."""
    try:
        text = json.dumps(value, default=_parts, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidPayload(
            f"{what} cannot be stored as JSON ({str(error) or type(error).__name__}); use dict, list, str, int, finite "
            f"float, bool and None, a dataclass or a pydantic model"
        ) from error
    if _ESCAPED_NUL.search(text):
        raise InvalidPayload(f"{what} has a NUL character in its text, which no database stores; remove it")
    if size > limit:
        raise PayloadTooLarge(what, size, limit)
    return text


def decode(stored: bytes) -> JsonValue:
    """The JSON value of *stored*. Raises ValueError that says what is wrong with it."""
    try:
        value: JsonValue = json.loads(stored.decode(), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def error_text(error: BaseException) -> str:
    """One line that names *error*, safe to store: without NUL or lone surrogates, and of bounded length."""
    try:
        said = str(error)
    except Exception as unprintable:  # noqa: BLE001 - an error whose __str__ fails is recorded all the same
        said = f"(its text cannot be had: {type(unprintable).__name__})"
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return storable(text)


def storable(text: str) -> str:
    """*text* without what a database cannot store, and no longer than is useful."""
    clean = text.replace("\0", "").encode("utf-8", "replace").decode()
    return clean if len(clean) <= ERROR_LIMIT else clean[: ERROR_LIMIT - 4] + " ..."


def to_text(time: datetime) -> str:
    """UTC text with microseconds. It sorts among the ``datetime('now')`` texts of other programs."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def from_text(text: str) -> datetime:
    """The time of *text*, which is UTC unless it says otherwise. InboxError when it is no time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InboxError(
            f"the tables hold {text!r} where a time should be; correct that row, its writer is foreign"
        ) from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _parts(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    dump: Callable[..., object] | None = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json")
    raise TypeError(f"a value of type {type(value).__name__} is no JSON")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
