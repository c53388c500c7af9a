"""The client against a real HTTP server on loopback."""

import socket
import ssl

import anyio
import pytest

from domain.github.adapters.github_http import COMMENTS_PER_PAGE, ISSUES_PER_PAGE, GithubHttp
from domain.github.adapters.throttle import Throttle
from domain.github.cursor import Cursor
from domain.github.entities import Repository
from domain.github.errors import Missing, RateLimited, Refused, RemoteError, Renamed, TimedOut, Unavailable, Unreachable

pytestmark = pytest.mark.anyio

REPOSITORY = Repository("octocat", "hello")
TOKEN = "ghp_secret0123456789"


def client(url, **options):
    """A client that does not pace."""
    return GithubHttp(url, TOKEN, **({"throttle": Throttle(0.0)} | options))


def issue_json(number, **changes):
    """An issue as GitHub sends it, as far as we read it."""
    plain = {
        "id": 1000 + number,
        "number": number,
        "title": f"Issue {number}",
        "body": None,
        "state": "open",
        "user": {"login": "someone"},
        "labels": [{"name": "Bug"}, "old"],
        "updated_at": "2026-01-01T00:00:00Z",
    }
    return plain | changes


async def test_a_repository_is_looked_up_with_our_credential(stub, reply):
    """And with the media type and version that GitHub asks for."""
    stub.reply(reply(200, {"id": 42, "full_name": "octocat/Hello"}))

    async with client(stub.url) as github:
        facts = await github.repository(REPOSITORY)

    assert (facts.github_id, facts.full_name) == (42, "octocat/Hello")
    assert stub.asked[0].path == "/repos/octocat/hello"
    assert stub.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert stub.asked[0].headers["accept"] == "application/vnd.github+json"


async def test_a_base_url_with_a_path_works_like_github_enterprise(stub, reply):
    """Enterprise has its API below /api/v3."""
    stub.reply(reply(200, {"id": 42, "full_name": "octocat/hello"}))

    async with client(f"{stub.url}/api/v3/") as github:
        await github.repository(REPOSITORY)

    assert stub.asked[0].path == "/api/v3/repos/octocat/hello"


async def test_a_renamed_repository_is_named_by_its_new_name(stub, reply):
    """GitHub answers 301 with a place that holds only a number; one more request learns the name."""
    stub.reply(
        reply(301, {"message": "Moved Permanently"}, {"Location": f"{stub.url}/repositories/42"}),
        reply(200, {"id": 42, "full_name": "octocat/world"}),
    )

    async with client(stub.url) as github:
        with pytest.raises(Renamed, match="octocat/hello is now octocat/world") as caught:
            await github.repository(REPOSITORY)

    assert caught.value.permanent is True


async def test_a_repository_that_answers_under_another_name_counts_as_renamed(stub, reply):
    """Some proxies follow the redirect for us."""
    stub.reply(reply(200, {"id": 42, "full_name": "octocat/world"}))

    async with client(stub.url) as github:
        with pytest.raises(Renamed, match="octocat/world"):
            await github.repository(REPOSITORY)


async def test_the_token_never_follows_a_redirect_to_another_host(stub, reply):
    """The message says where base_url should point instead."""
    stub.reply(reply(301, {}, {"Location": "http://127.0.0.1:9/repos/octocat/hello"}))

    async with client(stub.url) as github:
        with pytest.raises(Renamed, match="set base_url"):
            await github.repository(REPOSITORY)

    assert len(stub.asked) == 1


async def test_a_page_of_issues_is_read_with_its_url_and_etag(stub, reply):
    """Labels come as objects or as text, bodies may be null, accounts may be gone."""
    pull = issue_json(2, pull_request={"url": "x"}, user=None, updated_at="2026-01-01T02:00:00+01:00", labels=None)
    headers = {"ETag": 'W/"abc"', "Link": '<x>; rel="next"', "Date": "Thu, 01 Jan 2026 12:00:00 GMT"}
    stub.reply(reply(200, [issue_json(1), pull], headers))

    async with client(stub.url) as github:
        page = await github.issues(REPOSITORY, Cursor("2026-01-01T00:00:00Z", 3))

    assert page is not None
    assert page.more is True
    assert page.etag == 'W/"abc"'
    assert page.date == "2026-01-01T12:00:00Z"
    assert [issue.pull_request for issue in page.issues] == [False, True]
    assert page.issues[0].labels == ("Bug", "old")
    assert page.issues[0].body == ""
    assert page.issues[1].author == "ghost"
    assert page.issues[1].updated_at == "2026-01-01T01:00:00Z"
    assert stub.asked[0].query == {
        "state": "all",
        "sort": "updated",
        "direction": "asc",
        "since": "2026-01-01T00:00:00Z",
        "per_page": str(ISSUES_PER_PAGE),
        "page": "3",
    }


async def test_an_etag_is_sent_to_its_own_url_only(stub, reply):
    """An ETag of another page would be answered with somebody else's 304."""
    stub.reply(reply(200, [], {"ETag": '"one"'}), reply(304), reply(200, []))

    async with client(stub.url) as github:
        page = await github.issues(REPOSITORY, Cursor())
        again = await github.issues(REPOSITORY, Cursor(etag=page.etag, etag_url=page.url))
        await github.issues(REPOSITORY, Cursor("2026-01-01T00:00:00Z", etag=page.etag, etag_url=page.url))

    assert again is None
    assert [asked.headers.get("if-none-match") for asked in stub.asked] == [None, '"one"', None]


async def test_a_304_that_nobody_asked_for_is_worth_another_try(stub, reply):
    """Without a condition there is nothing that it could stand for: some cache on the way is confused."""
    stub.reply(reply(304))

    async with client(stub.url) as github:
        with pytest.raises(Unavailable, match="304"):
            await github.issues(REPOSITORY, Cursor())


async def test_a_full_page_without_links_has_more_behind_it(stub, reply):
    """A proxy may strip the Link header; a missed marker would mean a second comment."""
    stub.reply(reply(200, [{"id": n, "body": None} for n in range(COMMENTS_PER_PAGE)]), reply(200, []))

    async with client(stub.url) as github:
        first = await github.comments(REPOSITORY, 7, 1)
        second = await github.comments(REPOSITORY, 7, 2)

    assert (first.more, second.more) == (True, False)
    assert stub.asked[1].query == {"per_page": "100", "page": "2"}


async def test_a_comment_is_posted_once(stub, reply):
    """As JSON, to the issue."""
    stub.reply(reply(201, {"id": 5, "body": "Hello", "user": {"login": "bot"}}))

    async with client(stub.url) as github:
        comment = await github.comment(REPOSITORY, 7, "Hello")

    assert (comment.id, comment.author) == (5, "bot")
    assert stub.asked[0].path == "/repos/octocat/hello/issues/7/comments"
    assert stub.asked[0].body == b'{"body":"Hello"}'


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, {}, Refused),
        (403, {}, Refused),
        (403, {"Retry-After": "1"}, RateLimited),
        (404, {}, Missing),
        (410, {}, Missing),
        (422, {}, Refused),
        (429, {}, RateLimited),
        (500, {}, Unavailable),
        (503, {"Retry-After": "1"}, Unavailable),
        (202, {}, Unavailable),
    ],
)
async def test_answers_over_the_wire_become_the_errors_of_the_table(stub, reply, status, headers, kind):
    """The rows themselves are tested where the table is."""
    stub.reply(reply(status, {"message": "no"}, headers))

    async with client(stub.url) as github:
        with pytest.raises(kind):
            await github.comments(REPOSITORY, 1, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Welcome to the hotel</html>",
        b'[{"id": 1',
        b"",
        {"id": 1},
        [1, 2],
        [[]],
        [{"id": "one"}],
        [{"body": "x"}],
    ],
)
async def test_an_answer_of_another_shape_is_worth_another_try(stub, reply, body):
    """A captive portal or a cut answer is no reason to stop for good, and never a KeyError."""
    stub.reply(reply(200, body))

    async with client(stub.url) as github:
        with pytest.raises(Unavailable, match="not what GitHub documents") as caught:
            await github.comments(REPOSITORY, 1, 1)

    assert caught.value.retryable is True
    assert not hasattr(caught.value, "retry_after")


async def test_a_refused_connection_is_a_connection_error_with_its_cause():
    """What classifies failures knows the standard library's types and no client library."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"

    async with client(url) as github:
        with pytest.raises(Unreachable, match="ConnectError") as caught:
            await github.repository(REPOSITORY)

    assert isinstance(caught.value, ConnectionError)
    assert caught.value.__cause__ is not None


async def test_a_connection_cut_in_the_middle_is_a_connection_error(stub, reply):
    """Also for a POST, which is not repeated here: it may have arrived."""
    stub.reply(reply(201, b'{"id": 5', cut=True))

    async with client(stub.url) as github:
        with pytest.raises(Unreachable) as caught:
            await github.comment(REPOSITORY, 7, "Hello")

    assert isinstance(caught.value, ConnectionError)
    assert len(stub.asked) == 1


async def test_silence_is_a_timeout():
    """Bounded by the time for the whole request."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        async with client(url, request_timeout=0.1) as github:
            with pytest.raises(TimedOut) as caught:
                await github.repository(REPOSITORY)

    assert isinstance(caught.value, TimeoutError)
    assert "/repos/octocat/hello" in str(caught.value)


async def test_a_server_that_speaks_no_tls_is_unreachable_and_not_a_crash(stub):
    """https to a plain port: the handshake fails."""
    async with client(stub.url.replace("http:", "https:")) as github:
        with pytest.raises(RemoteError) as caught:
            await github.repository(REPOSITORY)

    assert isinstance(caught.value, ConnectionError)


async def test_one_limit_stops_the_other_calls_of_the_token_without_a_request(stub, reply):
    """Two thousand tenants behind one token ask once."""
    stub.reply(reply(429, {}, {"Retry-After": "30"}))

    async with client(stub.url) as github:
        for _ in range(5):
            with pytest.raises(RateLimited) as caught:
                await github.repository(REPOSITORY)

    assert len(stub.asked) == 1
    assert caught.value.retry_after == pytest.approx(30, abs=5)


async def test_the_token_is_in_no_message(stub, reply):
    """Not even when the other side sends it back to us."""
    stub.reply(reply(401, {"message": f"bad credential {TOKEN}"}))

    async with client(stub.url) as github:
        with pytest.raises(Refused) as caught:
            await github.repository(REPOSITORY)
        shown = f"{caught.value} {caught.value!r} {github!r} {github.__dict__['_client']!r}"

    assert TOKEN not in shown
    assert "***" in str(caught.value)


@pytest.mark.parametrize("token", ["abc\n", "abc def", "abc\x00", "tökén"])
def test_a_token_that_cannot_be_sent_is_refused_without_being_shown(token):
    """The HTTP library would print it in its own error."""
    with pytest.raises(ValueError, match="paste it again") as caught:
        GithubHttp("http://127.0.0.1", token)

    assert token not in str(caught.value)


async def test_cancellation_is_not_translated(stub):
    """It is no failure of the other side."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        async with client(f"http://127.0.0.1:{mute.getsockname()[1]}") as github:
            with anyio.move_on_after(0.05) as scope:
                await github.repository(REPOSITORY)

    assert scope.cancelled_caught


async def test_used_outside_its_block_it_says_so():
    """Connections live inside 'async with'."""
    with pytest.raises(RuntimeError, match="async with"):
        await client("http://127.0.0.1:9").repository(REPOSITORY)


def test_a_certificate_refusal_is_permanent_with_the_verdict_of_tls():
    """It is found under the client library's own errors."""
    import httpx

    from domain.github.adapters.transport_errors import transport_error
    from domain.github.errors import CertificateRefused

    verdict = ssl.SSLCertVerificationError(1, "certificate verify failed")
    verdict.verify_message = "self-signed certificate"
    error = httpx.ConnectError("[SSL] certificate verify failed")
    error.__cause__ = verdict

    translated = transport_error("GET /x", error)

    assert isinstance(translated, CertificateRefused)
    assert translated.permanent is True
    assert "self-signed certificate" in str(translated)
