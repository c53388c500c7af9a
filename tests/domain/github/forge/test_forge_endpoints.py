"""The REST API as a client sees it when there is no trouble."""

import re

import httpx
import pytest

from domain.github.adapters.forge import ISSUES, Draft, Forge, World, forge_in_thread

COMMENTS = "/repos/tidewater/queue/issues/1/comments"


def test_a_repository_has_the_shape_of_github(client):
    """The fields that clients read, under any case of the name."""
    answer = client.get("/repos/TideWater/Queue")

    assert answer.status_code == 200
    repository = answer.json()
    assert repository["full_name"] == "tidewater/queue"
    assert repository["owner"]["login"] == "tidewater"
    assert repository["has_issues"] is True
    assert repository["private"] is False
    assert f"{client.base_url}/repos/tidewater/queue" == repository["url"]
    assert repository["open_issues_count"] == 3


@pytest.mark.parametrize(
    "path",
    [
        "/repos/no/where",
        "/repos/no/where/issues",
        "/repositories/1",
        "/repositories/x/issues",
        "/repos/tidewater/queue/issues/99",
        "/repos/tidewater/queue/issues/abc",
        f"/repos/tidewater/queue/issues/{'9' * 5000}",
        "/repos/tidewater",
        "/teapot",
    ],
)
def test_what_does_not_exist_is_a_404_in_json(client, path):
    """With message, documentation_url and status, as GitHub writes it."""
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert {"message": "Not Found", "status": "404"}.items() <= answer.json().items()
    assert answer.json()["documentation_url"].startswith("https://docs.github.com/")


def test_a_method_that_an_address_does_not_know_is_a_404(client):
    """GitHub does not say 405."""
    assert client.delete("/repos/tidewater/queue").status_code == 404


def test_a_renamed_repository_is_redirected_to_its_id(client, forge):
    """301 for reading, 307 for writing, with the rest of the address and the query kept."""
    forge.rename("tidewater/queue", "tidewater/broker")
    number = forge.world.find("tidewater/broker").id

    moved = client.get("/repos/tidewater/queue/issues", params={"per_page": 2})
    posted = client.post(COMMENTS, json={"body": "x"})

    assert (301, f"{client.base_url}/repositories/{number}/issues?per_page=2") == (
        moved.status_code,
        moved.headers["location"],
    )
    assert (307, f"{client.base_url}/repositories/{number}/issues/1/comments") == (
        posted.status_code,
        posted.headers["location"],
    )
    assert client.get("/repos/tidewater/queue", follow_redirects=True).json()["full_name"] == "tidewater/broker"
    assert client.post(COMMENTS, json={"body": "x"}, follow_redirects=True).status_code == 201


def test_an_issue_has_the_shape_of_github(client):
    """Ids, user, labels, counts and times; no key pull_request on an issue."""
    issue = client.get("/repos/tidewater/queue/issues/1").json()

    assert issue["number"] == 1
    assert [label["name"] for label in issue["labels"]] == ["enhancement", "explain"]
    assert issue["user"]["login"] == "amara"
    assert (issue["state"], issue["comments"], issue["closed_at"]) == ("open", 0, None)
    assert "2026-02-25T12:00:00Z" == issue["created_at"] == issue["updated_at"]
    assert f"{client.base_url}/repos/tidewater/queue" == issue["repository_url"]
    assert f"{client.base_url}/tidewater/queue/issues/1" == issue["html_url"]
    assert issue["node_id"].startswith("I_")
    assert "pull_request" not in issue


def test_an_empty_body_is_null_as_on_github(client):
    """Not an empty string."""
    assert client.get("/repos/tidewater/metrics-agent/issues/1").json()["body"] is None


def test_pull_requests_are_in_the_list_and_say_so(client):
    """They share the numbers of the issues."""
    items = client.get("/repos/harbour/harbour-api/issues", params={"sort": "created", "direction": "asc"}).json()

    assert ["pull_request" in item for item in items] == [False, False, False, True]
    assert [item["number"] for item in items] == [1, 2, 3, 4]


def test_all_ten_texts_can_be_read(client, forge):
    """What is in the seed is what the client gets."""
    found = set()
    for repository in forge.world.repositories.values():
        items = client.get(f"/repos/{repository.full_name}/issues", params={"state": "all"}).json()
        found |= {(item["title"], item["body"]) for item in items if "pull_request" not in item}

    assert {(draft.title, draft.body) for draft in ISSUES} == found


def test_a_client_that_follows_next_sees_every_issue_once(client):
    """Absolute links, by repository id, through more than two pages."""
    address, numbers, pages = "/repos/harbour/harbour-api/issues?per_page=1&state=all&direction=asc", [], 0

    while address:
        answer = client.get(address)
        numbers += [issue["number"] for issue in answer.json()]
        pages += 1
        address = answer.links.get("next", {}).get("url")

    assert numbers == [1, 2, 3, 4]
    assert pages == 4


def test_links_name_next_last_prev_and_first_where_they_apply(client):
    """First page, middle page, last page, and none when one page is enough."""

    def relations(page):
        answer = client.get("/repos/harbour/harbour-api/issues", params={"per_page": 1, "page": page})
        return {relation: re.search(r"[?&]page=(\d+)", link["url"])[1] for relation, link in answer.links.items()}

    assert relations(1) == {"next": "2", "last": "4"}
    assert relations(2) == {"prev": "1", "next": "3", "last": "4", "first": "1"}
    assert relations(4) == {"prev": "3", "first": "1"}
    assert "link" not in client.get("/repos/harbour/harbour-api/issues").headers
    assert client.get("/repos/harbour/harbour-api/issues", params={"page": 9}).json() == []


def test_since_finds_what_changed_in_that_second_or_later(client, forge, clock):
    """The poller's query, with a comment as the change."""
    clock.advance(5)
    client.post(COMMENTS, json={"body": "hello"})
    query = {"state": "all", "sort": "updated", "direction": "asc", "since": "2026-03-01T12:00:05Z"}

    found = client.get("/repos/tidewater/queue/issues", params=query).json()
    later = client.get("/repos/tidewater/queue/issues", params={**query, "since": "2026-03-01T12:00:06Z"}).json()

    assert [issue["number"] for issue in found] == [1]
    assert later == []


def test_a_matching_etag_is_answered_with_304_and_costs_nothing(client):
    """Weak tag, no body, the same tag again, the rate limit untouched."""
    first = client.get("/repos/tidewater/queue/issues")

    again = client.get("/repos/tidewater/queue/issues", headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["etag"].startswith('W/"')
    assert (304, b"", first.headers["etag"]) == (again.status_code, again.content, again.headers["etag"])
    assert first.headers["x-ratelimit-remaining"] == again.headers["x-ratelimit-remaining"]


def test_a_change_makes_a_new_etag(client, forge):
    """A conditional request then gets the new list."""
    etag = client.get("/repos/tidewater/queue/issues").headers["etag"]
    forge.open_issue(Draft("tidewater/queue", "New", None))

    answer = client.get("/repos/tidewater/queue/issues", headers={"If-None-Match": etag})

    assert answer.status_code == 200
    assert etag != answer.headers["etag"]
    assert answer.json()[0]["title"] == "New"


def test_every_answer_carries_the_headers_of_github(client, clock):
    """Also a refusal. Reset is in seconds, not milliseconds."""
    for answer in (client.get("/repos/tidewater/queue"), client.get("/repos/no/where")):
        assert answer.headers["date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
        assert answer.headers["x-ratelimit-limit"] == "5000"
        assert answer.headers["x-ratelimit-resource"] == "core"
        assert int(clock.now.timestamp()) + 3601 == int(answer.headers["x-ratelimit-reset"])
        assert answer.headers["x-github-request-id"]
        assert len(answer.headers.get_list("date")) == 1


def test_a_posted_comment_is_stored_and_bumps_its_issue(client, clock):
    """201 with the comment; the issue counts it and is updated."""
    clock.advance(30)

    answer = client.post(COMMENTS, json={"body": "Have you tried 2.0.5?"})

    assert answer.status_code == 201
    assert answer.json()["body"] == "Have you tried 2.0.5?"
    assert answer.json()["created_at"] == "2026-03-01T12:00:30Z"
    assert answer.json()["url"] == answer.headers["location"]
    issue = client.get("/repos/tidewater/queue/issues/1").json()
    assert (issue["comments"], issue["updated_at"]) == (1, "2026-03-01T12:00:30Z")
    assert [answer.json()] == client.get(COMMENTS).json()


def test_comments_are_paged_with_links_oldest_first(client):
    """Like issues."""
    for text in "abcde":
        client.post(COMMENTS, json={"body": text})

    answer = client.get(COMMENTS, params={"per_page": 2, "page": 2})

    assert [comment["body"] for comment in answer.json()] == ["c", "d"]
    assert {"prev", "next", "last", "first"} == set(answer.links)
    assert [comment["body"] for comment in client.get(answer.links["next"]["url"]).json()] == ["e"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "Problems parsing JSON"),
        (b"{", 400, "Problems parsing JSON"),
        (b"\xff", 400, "Problems parsing JSON"),
        (b"[]", 400, "Body should be a JSON object"),
        (b"{}", 422, '"body" wasn\'t supplied'),
        (b'{"body": 7}', 422, "7 is not a string"),
        (b'{"body": "  "}', 422, "Validation Failed"),
        (b'{"body": "%s"}' % (b"x" * 65_537), 422, "Validation Failed"),
    ],
)
def test_a_comment_that_is_none_is_refused(client, forge, body, status, message):
    """With GitHub's status and words, and nothing is stored."""
    answer = client.post(COMMENTS, content=body)

    assert status == answer.status_code
    assert message in answer.json()["message"]
    assert forge.comments() == []


def test_issues_that_are_switched_off_are_gone(client, forge):
    """410 for reading and for commenting."""
    forge.add_repository("tidewater/queue", has_issues=False)

    assert client.get("/repos/tidewater/queue/issues").status_code == 410
    assert client.post(COMMENTS, json={"body": "x"}).status_code == 410
    assert client.get("/repos/tidewater/queue").json()["has_issues"] is False


def test_the_rate_limit_can_be_read_free_of_charge(client):
    """In the new form and in the old one."""
    client.get("/repos/tidewater/queue")

    first, second = client.get("/rate_limit").json(), client.get("/rate_limit").json()

    assert first == second
    assert tuple(first["rate"][key] for key in ("limit", "used", "remaining")) == (5000, 1, 4999)
    assert first["rate"].items() <= first["resources"]["core"].items()


def test_a_spent_rate_limit_refuses_until_its_reset(clock):
    """403 with nothing remaining; after the reset all is well again."""
    forge = Forge(World.seeded(clock=clock), limit=2)
    with forge_in_thread(forge) as url, httpx.Client(base_url=url) as client:
        statuses = [client.get("/repos/tidewater/queue").status_code for _ in range(3)]
        refused = client.get("/repos/tidewater/queue")
        free = client.get("/rate_limit").status_code
        clock.advance(3601)
        fresh = client.get("/repos/tidewater/queue")

    assert statuses == [200, 200, 403]
    assert refused.headers["x-ratelimit-remaining"] == "0"
    assert "API rate limit exceeded" in refused.json()["message"]
    assert free == 200
    assert (fresh.status_code, fresh.headers["x-ratelimit-remaining"]) == (200, "1")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "token"])
def test_the_right_token_opens(clock, scheme):
    """Under both schemes that GitHub takes."""
    with forge_in_thread(Forge(World.seeded(clock=clock), token="s3cret")) as url:
        answer = httpx.get(f"{url}/repos/tidewater/queue", headers={"Authorization": f"{scheme} s3cret"})

    assert answer.status_code == 200


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}])
def test_a_wrong_or_missing_token_is_refused(clock, headers):
    """401 Bad credentials, and it costs nothing of the limit."""
    with forge_in_thread(Forge(World.seeded(clock=clock), token="s3cret")) as url:
        answer = httpx.get(f"{url}/repos/tidewater/queue", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["message"] == "Bad credentials"
    assert answer.headers["x-ratelimit-remaining"] == "5000"


def test_a_request_without_a_user_agent_is_refused(client):
    """GitHub demands one."""
    assert client.get("/repos/tidewater/queue", headers={"User-Agent": ""}).status_code == 403
