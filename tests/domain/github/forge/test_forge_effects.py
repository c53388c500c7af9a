"""Every kind of trouble, as a plain client sees it on a real connection."""

import contextlib
import json
import socket
import time
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
import pytest

from domain.github.adapters.forge import Kind, Trouble

pytestmark = pytest.mark.slow

LIST = "/repos/tidewater/queue/issues"
COMMENTS = f"{LIST}/1/comments"


def read_all(connection):
    """Everything until the other side closes."""
    while connection.recv(65_536):
        pass


def reset_in(answer):
    """Seconds from the answer's own Date to its X-RateLimit-Reset."""
    return int(answer.headers["x-ratelimit-reset"]) - parsedate_to_datetime(answer.headers["date"]).timestamp()


@pytest.mark.parametrize(("kind", "status"), [(Kind.PRIMARY_LIMIT, 403), (Kind.PRIMARY_LIMIT_429, 429)])
def test_the_primary_limit_says_nothing_remains_until_its_reset(client, forge, kind, status):
    """No Retry-After; who waits until the reset has waited long enough."""
    forge.trouble(Trouble(kind, seconds=90))

    answer = client.get(LIST)

    assert status == answer.status_code
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert 90 <= reset_in(answer) <= 92
    assert "retry-after" not in answer.headers
    assert "API rate limit exceeded" in answer.json()["message"]
    assert client.get(LIST).status_code == 200


def test_a_reset_can_lie_in_the_past(client, forge):
    """A wait hint that is negative."""
    forge.trouble(Trouble(Kind.RESET_IN_THE_PAST, seconds=30))

    answer = client.get(LIST)

    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (403, "0")
    assert -31 <= reset_in(answer) < 0


def test_a_429_can_say_how_long_to_wait(client, forge):
    """Whole seconds, rounded up; the primary limit is not spent."""
    forge.trouble(Trouble(Kind.RETRY_AFTER, seconds=2.2))

    answer = client.get(LIST)

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    assert answer.headers["x-ratelimit-remaining"] == "5000"


def test_a_429_can_say_nothing_at_all(client, forge):
    """Neither Retry-After nor a spent limit nor a marker."""
    forge.trouble(Trouble(Kind.TOO_MANY_REQUESTS))

    answer = client.get(LIST)

    assert answer.status_code == 429
    assert "retry-after" not in answer.headers
    assert answer.headers["x-ratelimit-remaining"] != "0"
    assert "rate-limits" not in answer.json()["documentation_url"]


@pytest.mark.parametrize(("kind", "wait"), [(Kind.SECONDARY_LIMIT, "7"), (Kind.SECONDARY_LIMIT_BARE, None)])
def test_the_secondary_limit_is_told_by_its_documentation_url(client, forge, kind, wait):
    """403 while requests remain; with and without Retry-After."""
    forge.trouble(Trouble(kind, seconds=7))

    answer = client.get(LIST)

    assert (403, wait) == (answer.status_code, answer.headers.get("retry-after"))
    assert answer.json()["documentation_url"].endswith("secondary-rate-limits")
    assert "secondary rate limit" in answer.json()["message"]
    assert answer.headers["x-ratelimit-remaining"] != "0"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (Kind.INTERNAL_ERROR, 500),
        (Kind.BAD_GATEWAY, 502),
        (Kind.UNAVAILABLE, 503),
        (Kind.ACCEPTED, 202),
        (Kind.UNAUTHORIZED, 401),
        (Kind.NOT_FOUND, 404),
    ],
)
def test_a_status_can_be_forced_in_json(client, forge, kind, status):
    """Once, and without advice how long to wait."""
    forge.trouble(Trouble(kind))

    answer = client.get(LIST)

    assert status == answer.status_code
    assert isinstance(answer.json(), dict)
    assert "retry-after" not in answer.headers
    assert client.get(LIST).status_code == 200


def test_a_503_can_ask_for_a_wait_in_seconds(client, forge):
    """Retry-After: 4."""
    forge.trouble(Trouble(Kind.UNAVAILABLE_SECONDS, seconds=4))

    answer = client.get(LIST)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "4")


def test_a_503_can_ask_for_a_wait_until_a_date(client, forge, clock):
    """An HTTP date that is not before the wait is over."""
    forge.trouble(Trouble(Kind.UNAVAILABLE_DATE, seconds=4))

    answer = client.get(LIST)

    until = parsedate_to_datetime(answer.headers["retry-after"])
    assert answer.status_code == 503
    assert 4 <= (until - clock.now).total_seconds() < 5


@pytest.mark.parametrize(("kind", "status"), [(Kind.HTML_ERROR, 502), (Kind.HTML_PAGE, 200)])
def test_a_page_in_html_can_stand_where_json_was_promised(client, forge, kind, status):
    """From a gateway, or from a captive portal."""
    forge.trouble(Trouble(kind))

    answer = client.get(LIST)

    assert status == answer.status_code
    assert answer.headers["content-type"].startswith("text/html")
    assert "<html>" in answer.text


def test_a_304_can_come_unasked(client, forge):
    """To a request without If-None-Match."""
    forge.trouble(Trouble(Kind.NOT_MODIFIED))

    answer = client.get(LIST)

    assert (answer.status_code, answer.content) == (304, b"")


def test_a_slow_answer_comes_whole_after_its_delay(client, forge):
    """A client with patience gets everything."""
    forge.trouble(Trouble(Kind.SLOW, seconds=0.1))

    began = time.monotonic()
    answer = client.get(LIST)

    assert time.monotonic() - began >= 0.1
    assert len(answer.json()) == 3


def test_a_client_that_loses_patience_has_commented_all_the_same(client, forge):
    """The request was served before the delay, as happens on real servers."""
    forge.trouble(Trouble(Kind.SLOW, seconds=60, match="^POST"))

    with pytest.raises(httpx.ReadTimeout):
        client.post(COMMENTS, json={"body": "once"}, timeout=0.1)

    assert [comment.body for comment in forge.comments()] == ["once"]


def test_broken_json_has_the_right_status_and_half_of_the_text(client, forge):
    """Even when the request was conditional: half of nothing would be nothing."""
    etag = client.get(LIST).headers["etag"]
    forge.trouble(Trouble(Kind.BROKEN_JSON))

    answer = client.get(LIST, headers={"If-None-Match": etag})

    assert answer.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json()


def test_a_truncated_body_ends_before_its_length(client, forge):
    """The connection is closed politely, but too early."""
    forge.trouble(Trouble(Kind.TRUNCATED))

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        client.get(LIST)

    assert client.get(LIST).status_code == 200


def test_a_reset_connection_is_reset(client, forge):
    """RST, seen by a bare socket too."""
    forge.trouble(Trouble(Kind.RESET, times=2))

    with pytest.raises(httpx.ReadError):
        client.get(LIST)
    with socket.create_connection((urlsplit(str(client.base_url)).hostname, client.base_url.port)) as bare:
        bare.sendall(f"GET {LIST} HTTP/1.1\r\nHost: forge\r\nUser-Agent: bare\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            read_all(bare)

    assert client.get(LIST).status_code == 200


def test_a_server_may_have_another_time(client, forge, clock):
    """Date and Reset are shifted together; the answer itself is right."""
    honest = client.get(LIST)
    forge.trouble(Trouble(Kind.CLOCK_SKEW, skew=-7200))

    answer = client.get(LIST)

    shifted = parsedate_to_datetime(answer.headers["date"]) - parsedate_to_datetime(honest.headers["date"])
    assert shifted.total_seconds() == -7200
    assert int(answer.headers["x-ratelimit-reset"]) - int(honest.headers["x-ratelimit-reset"]) == -7200
    assert honest.json() == answer.json()


def test_any_trouble_may_come_from_a_skewed_clock(client, forge, clock):
    """A limit whose reset makes sense only beside the Date of the same answer."""
    forge.trouble(Trouble(Kind.PRIMARY_LIMIT, seconds=10, skew=3600))

    answer = client.get(LIST)

    assert 10 <= reset_in(answer) <= 12
    assert int(answer.headers["x-ratelimit-reset"]) - clock.now.timestamp() > 3600


def test_a_request_that_is_refused_has_no_effect_unless_told_otherwise(client, forge):
    """502 before the work, and 502 after the work."""
    forge.trouble(Trouble(Kind.BAD_GATEWAY, match="^POST"), Trouble(Kind.BAD_GATEWAY, match="^POST", served=True))

    before = client.post(COMMENTS, json={"body": "lost"})
    after = client.post(COMMENTS, json={"body": "kept"})

    assert [before.status_code, after.status_code] == [502, 502]
    assert [comment.body for comment in forge.comments()] == ["kept"]


def test_an_answer_lost_on_the_way_leaves_its_comment(client, forge):
    """The case that makes clients look before they post again."""
    forge.trouble(Trouble(Kind.RESET, match="^POST"))

    with pytest.raises(httpx.ReadError):
        client.post(COMMENTS, json={"body": "kept"})

    assert [comment.body for comment in forge.comments()] == ["kept"]


@pytest.mark.parametrize("kind", Kind)
def test_after_any_trouble_the_next_answer_is_right(client, forge, kind):
    """No kind harms the server."""
    forge.trouble(Trouble(kind, seconds=0))

    with contextlib.suppress(httpx.TransportError):
        client.get(LIST)
    answer = client.get(LIST)

    assert answer.status_code == 200
    assert [kind.value, None] == [seen.trouble for seen in forge.log()]
