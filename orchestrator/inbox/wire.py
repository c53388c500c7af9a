"""Values as the tables hold them: JSON text, and times as UTC text that sorts."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NoReturn

from longrun.chain import leaves
from orchestrator.contracts import JsonValue
from orchestrator.inbox.errors import InboxError, InvalidPayload, PayloadTooLarge
from orchestrator.inbox.fault import DEEPEST, find

#: Bytes of JSON that a payload or a result may have.
PAYLOAD_LIMIT = 1024 * 1024

#: Characters of an error that are stored.
ERROR_LIMIT = 4000

#: Errors of a group that are named.
_LEAVES = 20

# As Go writes a time that nobody formatted: the zone's offset and name behind a blank, then perhaps its own clock.
_GO_TIME = re.compile(r"([0-9-]{10} [0-9:.]+) ([+-][0-9]{4}) \S+(?: m=\S+)?")

_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def encode(value: object, what: str, limit: int = PAYLOAD_LIMIT) -> str:
    """*value* as JSON text; what JSON has no word for is written as pydantic writes it.

    Dataclasses and pydantic models become objects, dates, times, UUID and Decimal become text, sets become lists.
    Raises InvalidPayload, which begins with *what* and names the place in *value* and the remedy.
    """
    text, size = "", 0
    try:
        if _is_plain(value, DEEPEST):
            text = _write(value)
            size = len(text) if text.isascii() else len(text.encode())
    except Exception as error:
        raise _refused(value, what, error) from error
    if not text or ("\\u0000" in text and _ESCAPED_NUL.search(text)):
        raise _refused(value, what)
    if size > limit:
        raise PayloadTooLarge(what, size, limit)
    return text


def decode(stored: bytes) -> JsonValue:
    """The JSON value of *stored*. Raises ValueError that says what is wrong with it."""
    try:
        value: JsonValue = _DECODER.decode(stored.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def error_text(error: BaseException) -> str:
    """One line that names *error*, safe to store: without NUL or lone surrogates, and of bounded length.

    Of a group it is its leaves that tell what happened; equal ones are named once.
    """
    if isinstance(error, BaseExceptionGroup):
        said = "; ".join(dict.fromkeys(map(_named, islice(leaves(error), _LEAVES))))
        return storable(f"{_named(error)}: {said}")
    return storable(_named(error))


def _named(error: BaseException) -> str:
    try:
        said = str(error)
    except Exception as unprintable:  # noqa: BLE001 - an error whose __str__ fails is recorded all the same
        said = f"(its text cannot be had: {type(unprintable).__name__})"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def is_text(value: object) -> bool:
    """Whether *value* is a text that every database can hold."""
    try:
        return isinstance(value, str) and b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def storable(text: str) -> str:
    """*text* without what a database cannot store, and no longer than is useful."""
    clean = text.replace("\0", "").encode("utf-8", "replace").decode()
    return clean if len(clean) <= ERROR_LIMIT else clean[: ERROR_LIMIT - 4] + " ..."


def to_text(time: datetime) -> str:
    """UTC text with microseconds. It sorts among the ``datetime('now')`` texts of other programs."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")  # four digits of every year


def from_text(text: str) -> datetime:
    """The time of *text*, which is UTC unless it says otherwise. InboxError when it is no time."""
    try:
        time = _moment(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InboxError(
            f"the tables hold {text!r} where a time should be; correct that row, its writer is foreign"
        ) from None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)  # as we write it, and as most do
    except ValueError:
        go = _GO_TIME.fullmatch(text)
        if go is None:
            raise
        return datetime.fromisoformat(f"{go[1]}{go[2]}")


def _parts(value: object) -> object:
    from pydantic_core import to_jsonable_python  # loaded only where something is to be taken apart

    if isinstance(value, Iterator):
        raise TypeError(f"a value of type {type(value).__name__} can be read only once; use list() on it")
    if isinstance(value, bytes | bytearray | memoryview):  # whether it is text would depend on the day's content
        raise TypeError(f"a value of type {type(value).__name__} is no text; decode it, or use base64.b64encode()")
    return to_jsonable_python(value)


_write = json.JSONEncoder(default=_parts, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def _is_plain(value: object, levels: int) -> bool:
    # The encoder would turn keys that are numbers into text, silently, and it has no measure for depth.
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                return False
            if isinstance(each, dict | list | tuple) and not (levels > 1 and _is_plain(each, levels - 1)):
                return False
    elif isinstance(value, list | tuple):
        for each in value:
            if isinstance(each, dict | list | tuple) and not (levels > 1 and _is_plain(each, levels - 1)):
                return False
    return True


def _refused(value: object, what: str, error: Exception | None = None) -> InvalidPayload:
    found = find(value, _parts)
    if found is None:  # what only the encoder saw, for example a text inside of a model
        said = "it has a NUL character, which no database stores" if error is None else " ".join(str(error).split())
        return InvalidPayload(f"{what} cannot be stored as JSON: {said}")
    place = f" at {found.place}" if found.path else ""
    return InvalidPayload(f"{what}{place} cannot be stored as JSON: {found.what}; {found.remedy}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # made once: loads() would make one for each payload
