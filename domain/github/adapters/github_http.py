"""The GitHub REST API over httpx: github.com, GitHub Enterprise, or anything that speaks like them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

import anyio
import httpx

from domain.github.adapters.github_errors import error_of
from domain.github.adapters.github_json import comment_of, facts_of, issue_of, objects
from domain.github.adapters.http_client import http_client
from domain.github.adapters.link_header import links
from domain.github.adapters.retry_after import iso, server_time
from domain.github.adapters.throttle import Throttle
from domain.github.adapters.transport_errors import request_limits
from domain.github.cursor import Cursor
from domain.github.entities import Comment, CommentPage, IssuePage, Repository, RepositoryFacts
from domain.github.errors import RateLimited, Renamed

GITHUB_COM = "https://api.github.com"
#: Issues of one page: small enough that one page is one short transaction.
ISSUES_PER_PAGE = 50
#: GitHub's most.
COMMENTS_PER_PAGE = 100
#: GitHub allows 100 requests at a time; waiting for one of ours is not charged to the request either.
MOST_CONNECTIONS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the headers by lower-case name, the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class GithubHttp:
    """GithubApi by HTTP. An async context manager: connections live inside it.

    *base_url* may be a function, asked when the client is opened. *token* may be empty (public repositories, a slow
    limit). *request_timeout* seconds bound one request from sending to the last byte; waiting for its turn is not part
    of it. No call is repeated here: that is the caller's decision. Redirects are not followed, so the token goes to
    *base_url* and nowhere else.
    """

    def __init__(
        self,
        base_url: str | Callable[[], str] = GITHUB_COM,
        token: str = "",
        *,
        throttle: Throttle | None = None,
        request_timeout: float = 10.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if not token.isprintable() or not token.isascii() or " " in token:
            raise ValueError("the GitHub token holds spaces, control or non-ASCII characters; paste it again")
        self._address = base_url
        self._base_url = base_url.rstrip("/") if isinstance(base_url, str) else ""
        self._token = token
        self._throttle = throttle or Throttle()
        self._request_timeout = request_timeout
        self._now = wall_clock
        self._connections = anyio.CapacityLimiter(MOST_CONNECTIONS)
        self._client: httpx.AsyncClient | None = None

    def __repr__(self) -> str:
        return f"<GithubHttp {self._base_url}>"

    async def __aenter__(self) -> Self:
        if callable(self._address):
            self._base_url = self._address().rstrip("/")
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "longrun-github",
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        self._client = await http_client(self._base_url, headers, self._request_timeout).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.__aexit__(kind, error, trace)

    async def repository(self, repository: Repository) -> RepositoryFacts:
        what = f"GET {_path(repository)}"
        try:
            answer = await self._call("GET", self._base_url + _path(repository))
        except Renamed as moved:
            raise await self._where_to(repository, moved) from moved
        facts = facts_of(what, answer.body)
        if facts.full_name.lower() != repository.slug:
            raise _renamed(repository, facts.full_name, 301, None)
        return facts

    async def issues(self, repository: Repository, cursor: Cursor) -> IssuePage | None:
        url = self._issues_url(repository, cursor)
        known = {"If-None-Match": cursor.etag} if cursor.etag and cursor.etag_url == url else {}
        answer = await self._call("GET", url, headers=known)
        if answer.status == 304:
            return None
        what = f"GET {_path(repository)}/issues"
        issues = tuple(issue_of(what, one) for one in objects(what, answer.body))
        return IssuePage(
            issues=issues,
            more="next" in links(answer.headers.get("link")) or len(issues) >= ISSUES_PER_PAGE,
            url=url,
            etag=answer.headers.get("etag"),
            date=iso(server_time(answer.headers, self._now())),
        )

    async def comments(self, repository: Repository, number: int, page: int) -> CommentPage:
        path = f"{_path(repository)}/issues/{number}/comments"
        query = urlencode({"per_page": COMMENTS_PER_PAGE, "page": page})
        answer = await self._call("GET", f"{self._base_url}{path}?{query}")
        comments = tuple(comment_of(f"GET {path}", one) for one in objects(f"GET {path}", answer.body))
        more = "next" in links(answer.headers.get("link")) or len(comments) >= COMMENTS_PER_PAGE
        return CommentPage(comments, more)

    async def comment(self, repository: Repository, number: int, body: str) -> Comment:
        path = f"{_path(repository)}/issues/{number}/comments"
        answer = await self._call("POST", self._base_url + path, json={"body": body})
        return comment_of(f"POST {path}", answer.body)

    def _issues_url(self, repository: Repository, cursor: Cursor) -> str:
        query: dict[str, str | int] = {"state": "all", "sort": "updated", "direction": "asc"}
        if cursor.since is not None:
            query["since"] = cursor.since
        query |= {"per_page": ISSUES_PER_PAGE, "page": cursor.page}
        return f"{self._base_url}{_path(repository)}/issues?{urlencode(query)}"

    async def _call(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, json: object = None
    ) -> Answer:
        """One request in its turn. Raises for every answer but 200, 201 and, to a conditional request, 304."""
        if self._client is None:
            raise RuntimeError("GithubHttp is used outside 'async with'")
        what = f"{method} {urlsplit(url).path}"
        await self._throttle.turn()
        async with self._connections:
            with request_limits(what, self._request_timeout):
                response = await self._client.request(method, url, headers=headers, json=json)
        answer = Answer(response.status_code, response.headers, response.content)
        if answer.status in {200, 201} or (answer.status == 304 and headers):
            return answer
        error = error_of(what, answer.status, answer.headers, self._redacted(answer.body), self._now())
        if isinstance(error, RateLimited):
            self._throttle.hold(error)
        raise error

    async def _where_to(self, repository: Repository, moved: Renamed) -> Renamed:
        """Follow *moved* by one step, on our own host only, to learn the new name."""
        location, base = moved.location, urlsplit(self._base_url)
        if location is None:
            return moved
        target = urlsplit(location)
        if (target.scheme, target.netloc) != (base.scheme, base.netloc):
            return Renamed(
                f"{self._base_url} redirects to {target.scheme}://{target.netloc}; set base_url to where the API is",
                moved.status,
                location,
            )
        answer = await self._call("GET", location)
        return _renamed(repository, facts_of(f"GET {target.path}", answer.body).full_name, moved.status, location)

    def _redacted(self, body: bytes) -> bytes:
        return body.replace(self._token.encode(), b"***") if self._token else body


def _path(repository: Repository) -> str:
    return f"/repos/{quote(repository.owner, safe='')}/{quote(repository.name, safe='')}"


def _renamed(repository: Repository, name: str, status: int, location: str | None) -> Renamed:
    return Renamed(f"repository {repository} is now {name}; write {name!r} in github.repositories", status, location)
