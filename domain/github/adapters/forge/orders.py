"""Orders to the forge, as they come in JSON or on the command line, checked: one clear error or a value."""

import json
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from domain.github.adapters.forge.errors import BadTrouble
from domain.github.adapters.forge.trouble import Kind, Trouble

T = TypeVar("T")

FullName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,39}/[A-Za-z0-9._-]{1,100}$")]

_STRICT = ConfigDict(extra="forbid")


@with_config(_STRICT)
@dataclass(frozen=True)
class GrowOrder:
    """Let *count* things happen."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 1


@with_config(_STRICT)
@dataclass(frozen=True)
class IssueOrder:
    """Open one particular issue."""

    repository: FullName
    title: Annotated[str, Field(min_length=1, max_length=256)]
    body: str | None = None
    labels: tuple[str, ...] = ()
    user: str = "mira"
    pull_request: bool = False


@with_config(_STRICT)
@dataclass(frozen=True)
class RepositoryOrder:
    """Make a repository, or switch the issues of an existing one on or off."""

    full_name: FullName
    description: str = ""
    has_issues: bool = True


@with_config(_STRICT)
@dataclass(frozen=True)
class RenameOrder:
    """Rename a repository."""

    old: FullName
    new: FullName


GROW = TypeAdapter(GrowOrder)
ISSUE = TypeAdapter(IssueOrder)
REPOSITORY = TypeAdapter(RepositoryOrder)
RENAME = TypeAdapter(RenameOrder)
TROUBLE = TypeAdapter(Trouble)


def order(adapter: TypeAdapter[T], data: object) -> T:
    """*data* as the order that *adapter* knows; raises `BadTrouble` naming the first wrong field."""
    try:
        return adapter.validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the order"
        raise BadTrouble(f"{where}: {first['msg']} (got {str(first['input'])[:80]!r})") from None


def trouble_of(data: object) -> Trouble:
    """A trouble from its JSON object, e.g. ``{"kind": "retry-after", "seconds": 3}``; raises `BadTrouble`."""
    if isinstance(data, dict):
        unknown = sorted(str(key) for key in data.keys() - Trouble.__dataclass_fields__.keys())
        if unknown:
            allowed = ", ".join(Trouble.__dataclass_fields__)
            raise BadTrouble(f"a trouble has no field {unknown[0]!r}; its fields are {allowed}")
        if data.get("kind") not in list(Kind):
            raise BadTrouble(f"kind is {data.get('kind')!r}; the kinds are {', '.join(Kind)}")
    return order(TROUBLE, data)


def trouble_of_text(text: str) -> Trouble:
    """A trouble from a command line: ``KIND``, ``KIND:field=value,field=value``, or its JSON object.

    A *match* with a comma in it needs the JSON form. Raises `BadTrouble`.
    """
    if text.lstrip().startswith("{"):
        try:
            return trouble_of(json.loads(text))
        except ValueError as error:
            raise BadTrouble(f"{text!r} is no JSON: {error}") from None
    kind, _, rest = text.partition(":")
    fields: dict[str, object] = {"kind": kind}
    for pair in filter(None, rest.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise BadTrouble(
                f"{pair!r} in {text!r} is not field=value; write for example retry-after:seconds=3,times=2"
            )
        fields[name] = value
    return trouble_of(fields)
