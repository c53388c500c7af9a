"""What of a value may be shown, and which texts must never be."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic import Secret as GenericSecret

from orchestrator.logs.redaction import MASK, Redactor
from orchestrator.logs.text import bounded, one_line
from orchestrator.settings.layer import Keys, Layer, leaves
from orchestrator.settings.shape import is_secret

# Greedy up to the last @: a password may hold any sign, and hiding too much is the safe side.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<userinfo>.*)@", re.DOTALL)
_ASSIGNED = re.compile(
    r"(?P<name>(?:password|passwd|pwd|passphrase|token|secret|api_?key|access_?key|private_?key|signature)\s*=\s*)"
    r"(?P<value>'[^']*'|\"[^\"]*\"|[^\s&;,]+)",
    re.IGNORECASE,
)


def without_credentials(text: str) -> str:
    """*text* with the userinfo of a URL and the values of ``password=...`` masked."""
    text = _USERINFO.sub(lambda match: f"{match['scheme']}{MASK}@", text)
    return _ASSIGNED.sub(lambda match: f"{match['name']}{MASK}", text)


def credentials_in(text: str) -> Iterator[str]:
    """The texts that :func:`without_credentials` masks in *text*, as they stand and decoded."""
    userinfo = _USERINFO.search(text)
    if userinfo:
        user, colon, password = userinfo["userinfo"].partition(":")
        if colon:
            yield from {password, unquote(password)}
        elif userinfo["scheme"].lower() in ("http://", "https://"):  # https://TOKEN@host; elsewhere it is just a user
            yield from {user, unquote(user)}
    for match in _ASSIGNED.finditer(text):
        yield from {match["value"].strip("'\""), unquote(match["value"].strip("'\""))}


def secrets_in_layer(model: type[BaseModel], layer: Layer) -> Iterator[str]:
    """Every secret text of *layer*, before anything has been checked."""
    for keys, value in leaves(layer.values):
        yield from _texts(value) if is_secret(model, keys) else _credentials(value)


def secrets_in(value: object) -> Iterator[str]:
    """Every secret text in checked settings: of secret types, and the credentials in URLs."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            below = getattr(value, name)
            if is_secret(type(value), (name,)) and not isinstance(below, BaseModel):
                yield from _texts(below)
            yield from secrets_in(below)
    elif isinstance(value, SecretStr | SecretBytes | GenericSecret):
        yield from _texts(value)
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from secrets_in(below)
    elif isinstance(value, list | tuple | set | frozenset):
        for below in value:
            yield from secrets_in(below)
    else:
        yield from _credentials(value)


def redacted_repr(value: BaseModel, text: str) -> str:
    """*text*, the ``repr`` of *value*, without the secrets that are in *value*."""
    return Redactor(secrets_in(value))(text)


def shown_value(model: type[BaseModel], keys: Keys, value: object, redactor: Redactor) -> str:
    """*value* for an error message: masked when secret, short, on one line."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return f"an array of {len(value)}"
    if is_secret(model, keys):
        return MASK
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(without_credentials(redactor(value))) if isinstance(value, str) else redactor(str(value))
    return bounded(one_line(text), 120)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr | SecretBytes | GenericSecret):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        for below in value.values():
            yield from _texts(below)
    elif isinstance(value, list | tuple | set | frozenset):
        for below in value:
            yield from _texts(below)
    elif value is not None and not isinstance(value, bool):
        text = str(value)
        yield from {text, text.strip(), text.rstrip("\r\n")}


def _credentials(value: object) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for below in value:
            yield from _credentials(below)
    elif value is not None and not isinstance(value, bool | int | float):
        yield from credentials_in(str(value))
