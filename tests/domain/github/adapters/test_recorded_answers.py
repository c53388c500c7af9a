"""The client against what GitHub really answered; see ``recorded/README.md`` for where that comes from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from domain.github.adapters.github_errors import error_of
from domain.github.adapters.github_http import GithubHttp
from domain.github.adapters.throttle import Throttle
from domain.github.cursor import Cursor
from domain.github.entities import Repository
from domain.github.errors import Missing, RateLimited, Refused, Renamed

pytestmark = pytest.mark.anyio

RECORDED = Path(__file__).parents[1] / "recorded"
GITHUB = "https://api.github.com"

HELLO = Repository.parse("octokit-fixture-org/hello-world")
RENAMED = Repository.parse("octokit-fixture-org/tmp-scenario-rename-repository-20220719044033126-ukeod")
PAGED = Repository.parse("octokit-fixture-org/tmp-scenario-paginate-issues-20220719043836917-izyoe")

#: Far from 2022: nothing may be counted from the local clock.
NOW = 1_900_000_000.0


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    method: str
    path: str
    status: int
    headers: Mapping[str, str]
    body: object

    @property
    def page(self) -> str:
        return parse_qs(urlsplit(self.path).query).get("page", ["1"])[0]


def recorded(scenario):
    """The exchanges of one file, in the order in which they happened."""
    text = (RECORDED / f"{scenario}.json").read_text(encoding="utf-8")
    return [Exchange(**one) for one in json.loads(text)]


def documented(example):
    """A body out of GitHub's own description of its API."""
    return json.loads((RECORDED / "documented.json").read_text(encoding="utf-8"))[example]


@pytest.fixture
def replay(stub, reply):
    """Let the server on loopback answer as recorded: by method, path and page; addresses of GitHub become its own.

    *path* stands for all recorded ones: pages behind the first were asked for under the repository's number.
    """

    def answer(exchange):
        body = json.dumps(exchange.body).replace(GITHUB, stub.url)
        headers = {name: value.replace(GITHUB, stub.url) for name, value in exchange.headers.items()}
        return reply(exchange.status, body.encode(), headers)

    def start(scenario, path=None):
        known = {(one.method, path or urlsplit(one.path).path, one.page): one for one in recorded(scenario)}

        def respond(asked):
            exchange = known.get((asked.method, asked.path, asked.query.get("page", "1")))
            return reply(404, {"message": "Not Found"}) if exchange is None else answer(exchange)

        stub.responder = respond

    start.answer = answer
    return start


def client(url):
    """The client as it is, without pacing."""
    return GithubHttp(url, "ghp_0123456789", throttle=Throttle(0.0), wall_clock=lambda: NOW)


async def test_a_repository_is_read(stub, replay):
    """By its number and its name, out of some ninety fields."""
    replay("get-repository")

    async with client(stub.url) as github:
        facts = await github.repository(HELLO)

    assert (facts.github_id, facts.full_name) == (103703892, "octokit-fixture-org/hello-world")


async def test_all_pages_are_read_as_long_as_their_link_headers_name_another(stub, replay):
    """The later pages' links lead by number, not by name; three issues are far from a full page of ours."""
    replay("paginate-issues", f"/repos/{PAGED}/issues")
    numbers, more, page = [], True, 1

    async with client(stub.url) as github:
        while more:
            found = await github.issues(PAGED, Cursor(page=page))
            numbers += [issue.number for issue in found.issues]
            more, page = found.more, page + 1

    assert numbers == list(range(13, 0, -1))
    assert len(stub.asked) == 5


async def test_an_issue_is_read_field_by_field(stub, replay):
    """A body of null is an empty text."""
    replay("paginate-issues", f"/repos/{PAGED}/issues")

    async with client(stub.url) as github:
        issue = (await github.issues(PAGED, Cursor())).issues[0]

    assert (issue.github_id, issue.number, issue.title, issue.body) == (1308969059, 13, "Test issue 13", "")
    assert (issue.state, issue.author, issue.labels) == ("open", "octokit-fixture-user-a", ())
    assert (issue.updated_at, issue.pull_request) == ("2022-07-19T04:39:16Z", False)


async def test_a_page_carries_the_servers_own_time_and_its_etag(stub, replay):
    """Years from the local clock."""
    replay("paginate-issues", f"/repos/{PAGED}/issues")

    async with client(stub.url) as github:
        page = await github.issues(PAGED, Cursor())

    assert page.date == "2022-07-19T04:39:16Z"
    assert page.etag == '"33b993150c346057e2d21c5333d4bc506287037296cc0ec3f450bafe9b4bdc72"'


async def test_a_renamed_repository_is_found_under_its_number_and_named(stub, replay):
    """301, then the repository itself; the remedy holds the new name."""
    replay("rename-repository")

    async with client(stub.url) as github:
        with pytest.raises(Renamed, match=f"is now {RENAMED}-newname; write '{RENAMED}-newname'") as caught:
            await github.repository(RENAMED)

    assert (caught.value.status, caught.value.location) == (301, f"{stub.url}/repositories/515436299")
    assert [asked.path for asked in stub.asked] == [f"/repos/{RENAMED}", "/repositories/515436299"]


async def test_a_write_to_a_renamed_repository_is_refused_and_not_sent_again(stub, replay):
    """307 would ask to repeat the post elsewhere."""
    moved = next(one for one in recorded("rename-repository") if one.status == 307)
    stub.reply(replay.answer(moved))

    async with client(stub.url) as github:
        with pytest.raises(Renamed, match="repositories/515436299") as caught:
            await github.comment(RENAMED, 1, "Hello")

    assert (caught.value.status, caught.value.permanent) == (307, True)
    assert len(stub.asked) == 1


@pytest.mark.parametrize(
    ("status", "kind", "said"), [(422, Refused, "Validation Failed"), (404, Missing, "Branch not protected")]
)
async def test_an_error_becomes_ours_with_what_github_said(stub, replay, status, kind, said):
    """Plenty of rate limit is left in these: they are no limit."""
    stub.reply(replay.answer(next(one for one in recorded("errors") if one.status == status)))

    async with client(stub.url) as github:
        with pytest.raises(kind, match=said) as caught:
            await github.comment(HELLO, 1, "Hello")

    assert caught.value.status == status
    assert caught.value.permanent is True


@pytest.mark.parametrize(
    ("scenario", "wait"),
    [
        ("get-repository", 3530.0),  # 04:37:49 until 05:36:39, by GitHub's clock
        ("normalized", None),  # milliseconds: fifty thousand years
    ],
)
async def test_a_used_up_limit_waits_until_the_recorded_reset_or_not_at_all(stub, reply, scenario, wait):
    """The recorded headers, with nothing remaining."""
    headers = {**recorded(scenario)[0].headers, "x-ratelimit-remaining": "0"}
    stub.reply(reply(403, {"message": "API rate limit exceeded"}, headers))

    async with client(stub.url) as github:
        with pytest.raises(RateLimited) as caught:
            await github.repository(HELLO)

    assert caught.value.retry_after == wait


async def test_pull_requests_are_told_from_issues(stub, reply):
    """GitHub lists both as issues."""
    pull = documented("issue-items")[0]
    issue = {name: value for name, value in pull.items() if name != "pull_request"}
    stub.reply(reply(200, [pull, issue]))

    async with client(stub.url) as github:
        page = await github.issues(HELLO, Cursor())

    assert [one.pull_request for one in page.issues] == [True, False]
    assert page.issues[0].labels == ("bug",)
    assert page.issues[0].body == "I'm having a problem with this."


async def test_comments_are_read_and_a_posted_one_is_known_by_its_id(stub, reply):
    """Both shapes that GitHub documents."""
    stub.reply(reply(200, documented("issue-comment-items")), reply(201, documented("issue-comment")))

    async with client(stub.url) as github:
        page = await github.comments(HELLO, 1347, 1)
        posted = await github.comment(HELLO, 1347, "Me too")

    assert [(one.id, one.author, one.body) for one in page.comments] == [(1, "octocat", "Me too")]
    assert page.more is False
    assert (posted.id, posted.author, posted.body) == (1, "octocat", "Me too")


@pytest.mark.parametrize("scenario", ["get-repository", "paginate-issues", "rename-repository", "errors"])
def test_no_recorded_header_is_taken_for_a_limit(scenario):
    """As a plain 403 each of them is a refusal."""
    for one in recorded(scenario):
        error = error_of("GET /x", 403, one.headers, b"{}", NOW)

        assert type(error) is Refused
