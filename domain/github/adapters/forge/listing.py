"""How a list is filtered, sorted, cut into pages and linked, by the rules of GitHub's REST API."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import urlencode

from domain.github.adapters.forge.answer import Answer, Refused, problem
from domain.github.adapters.forge.world import Issue

T = TypeVar("T")

DEFAULT_SIZE = 30
LARGEST_SIZE = 100

_ALLOWED = {
    "state": ("open", "closed", "all"),
    "sort": ("created", "updated", "comments"),
    "direction": ("desc", "asc"),
}


@dataclass(frozen=True)
class Page:
    """Page *number*, from 1, of *size* items."""

    number: int
    size: int

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Page":
        """From ``page`` and ``per_page``; like GitHub, takes the default for nonsense and 100 for more than 100."""
        return cls(_positive(query.get("page"), 1), min(_positive(query.get("per_page"), DEFAULT_SIZE), LARGEST_SIZE))

    def cut(self, items: Sequence[T]) -> Sequence[T]:
        """This page's items; none when the list ends before it."""
        start = (self.number - 1) * self.size
        return items[start : start + self.size]

    def links(self, address: str, query: Mapping[str, str], total: int) -> str | None:
        """The ``Link`` header for a list of *total* items: None when one page holds them all."""
        last = max(1, -(-total // self.size))
        targets: dict[str, int] = {}
        if self.number > 1:
            targets["prev"] = min(self.number - 1, last)
        if self.number < last:
            targets["next"] = self.number + 1
        if self.number != last and last > 1:
            targets["last"] = last
        if self.number > 1:
            targets["first"] = 1
        rest = {key: value for key, value in query.items() if key != "page"}
        links = (
            f'<{address}?{urlencode({**rest, "page": number})}>; rel="{relation}"'
            for relation, number in targets.items()
        )
        return ", ".join(links) or None


def selected(issues: Iterable[Issue], query: Mapping[str, str], comments: Callable[[Issue], int]) -> list[Issue]:
    """The issues that *query* asks for, in its order; *comments* counts those of an issue.

    Raises `Refused` (422) for a state, sort, direction or since that GitHub does not know.
    """
    state, sort, direction = (_choice(query, field) for field in ("state", "sort", "direction"))
    since = since_of(query)
    wanted = {name for name in query.get("labels", "").lower().split(",") if name}
    keys: dict[str, Callable[[Issue], tuple[float, int]]] = {
        "created": lambda issue: (issue.created_at.timestamp(), issue.number),
        "updated": lambda issue: (issue.updated_at.timestamp(), issue.number),
        "comments": lambda issue: (comments(issue), issue.number),
    }
    found = [
        issue
        for issue in issues
        if state in ("all", issue.state)
        and (since is None or issue.updated_at >= since)
        and wanted <= {label.lower() for label in issue.labels}
    ]
    return sorted(found, key=keys[sort], reverse=direction == "desc")


def since_of(query: Mapping[str, str]) -> datetime | None:
    """The query's ``since``, inclusive; raises `Refused` (422) when it is not a time."""
    text = query.get("since")
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(_invalid("since", text)) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _choice(query: Mapping[str, str], field: str) -> str:
    value = query.get(field) or _ALLOWED[field][0]
    if value not in _ALLOWED[field]:
        raise Refused(_invalid(field, value))
    return value


def _invalid(field: str, value: str) -> Answer:
    return problem(
        422,
        "Validation Failed",
        errors=[{"resource": "Issue", "code": "invalid", "field": field, "value": value}],
        documentation="https://docs.github.com/rest/issues/issues#list-repository-issues",
    )


def _positive(text: str | None, default: int) -> int:
    # isdecimal is true for digits that int() reads; more than nine of them is nonsense, not a page.
    number = int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0
    return number if number > 0 else default
