"""Answers as plain values, before any server is involved."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

JSON_TYPE = "application/json; charset=utf-8"
DOCS = "https://docs.github.com/rest"


@dataclass(frozen=True)
class Call:
    """A request. *base* is the address it was sent to, without a slash at its end; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)  # named parts of the path
    body: bytes = b""
    base: str = ""
    raw_query: str = ""

    @property
    def line(self) -> str:
        """``METHOD /path?query``, what a trouble is matched with."""
        return f"{self.method} {self.path}?{self.raw_query}" if self.raw_query else f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """Status, body and the headers that are this answer's own; the usual ones are added later."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def having(self, headers: Mapping[str, str]) -> "Answer":
        """The same answer with *headers* too."""
        return Answer(self.status, self.body, {**self.headers, **headers})


class Refused(Exception):
    """The request cannot be granted: *answer* says so in GitHub's words."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def ok(payload: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """*payload* as JSON."""
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": JSON_TYPE, **(headers or {})})


def problem(status: int, message: str, *, documentation: str = DOCS, **more: object) -> Answer:
    """GitHub's form of an error: message, documentation_url and the status as text."""
    return ok({"message": message, **more, "documentation_url": documentation, "status": str(status)}, status)


def etag_of(body: bytes) -> str:
    """A weak validator: equal bodies, equal tags."""
    return f'W/"{hashlib.sha256(body).hexdigest()}"'


def matches(etag: str, if_none_match: str | None) -> bool:
    """Whether a conditional request names *etag*: weak comparison, a list of tags, or ``*`` (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    wanted = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in wanted or etag.removeprefix("W/") in wanted
