"""GitHub's JSON into entities. What has another shape than documented is one clear error, never a KeyError."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar, cast

from domain.github.adapters.github_errors import nonsense
from domain.github.entities import Comment, Issue, RepositoryFacts

T = TypeVar("T")
Json = dict[str, object]

#: The author of an issue whose account was deleted, as GitHub shows it.
GHOST = "ghost"


def facts_of(what: str, body: bytes) -> RepositoryFacts:
    return _read(what, lambda one: RepositoryFacts(_int(one, "id"), _text(one, "full_name")), _one(what, body))


def comment_of(what: str, body: bytes | Json) -> Comment:
    raw = _one(what, body) if isinstance(body, bytes) else body
    return _read(what, lambda one: Comment(_int(one, "id"), _author(one), _text(one, "body", optional=True)), raw)


def issue_of(what: str, raw: Json) -> Issue:
    return _read(what, _issue, raw)


def objects(what: str, body: bytes) -> list[Json]:
    """A JSON array of objects."""
    answer = _json(what, body)
    if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
        raise nonsense(what, f"{type(answer).__name__} where an array of objects was expected")
    return cast("list[Json]", answer)


def _one(what: str, body: bytes) -> Json:
    answer = _json(what, body)
    if not isinstance(answer, dict):
        raise nonsense(what, f"{type(answer).__name__} where an object was expected")
    return answer


def _json(what: str, body: bytes) -> object:
    try:
        return cast("object", json.loads(body))
    except (ValueError, RecursionError) as error:
        raise nonsense(what, f"broken JSON ({error}), {len(body)} bytes") from error


def _issue(one: Json) -> Issue:
    return Issue(
        github_id=_int(one, "id"),
        number=_int(one, "number"),
        title=_text(one, "title"),
        body=_text(one, "body", optional=True),
        state=_text(one, "state"),
        author=_author(one),
        labels=_labels(one.get("labels")),
        updated_at=_instant(one, "updated_at"),
        pull_request=one.get("pull_request") is not None,
    )


def _read(what: str, make: Callable[[Json], T], raw: Json) -> T:
    try:
        return make(raw)
    except _Shape as error:
        raise nonsense(what, str(error)) from error


def _int(one: Json, name: str) -> int:
    value = one.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _Shape(f"{name} is {value!r:.80}, not a whole number")
    return value


def _text(one: Json, name: str, *, optional: bool = False) -> str:
    value = one.get(name)
    if value is None and optional:
        return ""
    if not isinstance(value, str):
        raise _Shape(f"{name} is {value!r:.80}, not text")
    return _storable(value)


def _storable(text: str) -> str:
    # What no database takes, JSON can write: NUL, and halves of surrogate pairs.
    return text.replace("\0", "").encode(errors="replace").decode()


def _instant(one: Json, name: str) -> str:
    text = _text(one, name)
    try:
        instant = datetime.fromisoformat(text)
        return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError) as error:
        raise _Shape(f"{name} is {text!r:.80}, not an ISO 8601 instant") from error


def _author(one: Json) -> str:
    user = one.get("user")
    login = user.get("login") if isinstance(user, dict) else None
    return _storable(login) if isinstance(login, str) else GHOST


def _labels(value: object) -> tuple[str, ...]:
    """Names of labels; GitHub writes a label as an object or, from old integrations, as plain text."""
    names: list[str] = []
    for label in value if isinstance(value, list) else ():
        name = label.get("name") if isinstance(label, dict) else label
        if isinstance(name, str):
            names.append(name)
    return tuple(names)


class _Shape(ValueError):
    """A field is not what GitHub documents."""
