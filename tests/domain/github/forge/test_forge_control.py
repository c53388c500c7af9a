"""The control API, as curl would use it."""

import pytest

LIST = "/repos/tidewater/queue/issues"


def test_trouble_is_ordered_listed_and_forgotten(client):
    """One at a time or several at once."""
    one = client.post("/_forge/trouble", json={"kind": "retry-after", "seconds": 3, "match": "issues"})
    more = client.post("/_forge/trouble", json=[{"kind": "bad-gateway"}, {"kind": "unavailable", "times": 2}])

    assert (one.status_code, more.status_code) == (201, 201)
    assert [item["kind"] for item in more.json()] == ["retry-after", "bad-gateway", "unavailable"]
    assert more.json() == client.get("/_forge/trouble").json()
    assert client.get(LIST).headers["retry-after"] == "3"
    assert client.delete("/_forge/trouble").json() == {"forgotten": 2}
    assert client.get(LIST).status_code == 200


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({"kind": "earthquake"}, "kind is 'earthquake'; the kinds are primary-limit"),
        ({}, "kind is None"),
        ({"kind": "slow", "second": 1}, "no field 'second'; its fields are kind, times"),
        ({"kind": "slow", "seconds": "long"}, "seconds: Input should be a valid number"),
        ({"kind": "slow", "times": -1}, "times is -1"),
        ({"kind": "slow", "match": "("}, "no regular expression"),
        ({"kind": []}, "kind is []"),
        ("slow", "the order: Input should be"),
        ([{"kind": "slow"}, 7], "the order: Input should be"),
    ],
)
def test_a_malformed_trouble_is_one_clear_error(client, forge, order, said):
    """422, the field and the value; nothing is queued, not even the good part of a list."""
    answer = client.post("/_forge/trouble", json=order)

    assert answer.status_code == 422
    assert said in answer.json()["message"]
    assert forge.pending == ()


def test_an_order_that_is_no_json_is_refused(client):
    """400."""
    answer = client.post("/_forge/trouble", content=b"kind=slow")

    assert answer.status_code == 400
    assert "no JSON" in answer.json()["message"]


def test_the_world_grows_on_demand(client, forge):
    """So many steps as asked for, one without a body, and it says what happened."""
    steps = client.post("/_forge/grow", json={"count": 4})
    one = client.post("/_forge/grow")

    assert (steps.status_code, len(steps.json()), len(one.json())) == (201, 4, 1)
    assert {"change", "repository", "number"} == set(one.json()[0])
    assert forge.world.steps == 5
    assert client.post("/_forge/grow", json={"count": 0}).status_code == 422
    assert client.post("/_forge/grow", json={"counts": 2}).status_code == 422
    assert forge.world.steps == 5


def test_a_particular_issue_can_be_opened(client):
    """And is then what the API shows."""
    order = {"repository": "Tidewater/Queue", "title": "Hello", "body": None, "labels": ["bug"], "pull_request": True}

    opened = client.post("/_forge/issues", json=order)

    assert opened.status_code == 201
    assert opened.json() == client.get(f"{LIST}/4").json()
    assert "pull_request" in opened.json()


def test_an_issue_for_nobody_or_without_a_title_is_refused(client, forge):
    """404 for the repository, 422 for the title."""
    nobody = client.post("/_forge/issues", json={"repository": "no/where", "title": "x"})
    untitled = client.post("/_forge/issues", json={"repository": "tidewater/queue", "title": ""})

    assert (nobody.status_code, untitled.status_code) == (404, 422)
    assert "no/where" in nobody.json()["message"]
    assert forge.world.issue_count == 12


def test_repositories_can_be_made_switched_and_renamed(client):
    """What a tenant may meet in its life."""
    made = client.post("/_forge/repositories", json={"full_name": "new/home"})
    switched = client.post("/_forge/repositories", json={"full_name": "new/home", "has_issues": False})
    renamed = client.post("/_forge/rename", json={"old": "new/home", "new": "newer/home"})

    assert (made.status_code, switched.status_code, renamed.status_code) == (201, 201, 200)
    assert made.json()["id"] == switched.json()["id"] == renamed.json()["id"]
    assert client.get("/repos/newer/home/issues").status_code == 410
    assert client.get("/repos/new/home").status_code == 301


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"old": "no/where", "new": "new/home"}, 404),
        ({"old": "tidewater/queue", "new": "harbour/docs"}, 404),
        ({"old": "tidewater/queue", "new": "../etc"}, 422),
        ({"old": "tidewater/queue"}, 422),
    ],
)
def test_a_rename_that_cannot_be_is_refused(client, order, status):
    """An unknown old name, a taken new one, a malformed one, a missing one."""
    assert status == client.post("/_forge/rename", json=order).status_code
    assert client.get("/repos/tidewater/queue").status_code == 200


def test_all_comments_are_listed_flat(client):
    """With their repository and number, in the order they came."""
    client.post(f"{LIST}/2/comments", json={"body": "first"})
    client.post("/repos/harbour/docs/issues/1/comments", json={"body": "second"})

    comments = client.get("/_forge/comments").json()

    assert [(comment["repository"], comment["number"], comment["body"]) for comment in comments] == [
        ("tidewater/queue", 2, "first"),
        ("harbour/docs", 1, "second"),
    ]


def test_the_log_tells_what_was_asked_and_answered(client):
    """Honest 304s apart from forced ones; the control API's requests are not in it."""
    etag = client.get(LIST, params={"per_page": 2}).headers["etag"]
    client.get(LIST, params={"per_page": 2}, headers={"If-None-Match": etag})
    client.post("/_forge/trouble", json={"kind": "not-modified"})
    client.get(LIST)

    log = client.get("/_forge/log").json()

    assert [
        tuple(seen[key] for key in ("method", "path", "query", "status", "etag_hit", "trouble")) for seen in log[:2]
    ] == [("GET", LIST, "per_page=2", 200, False, None), ("GET", LIST, "per_page=2", 304, True, None)]
    assert [(seen["status"], seen["etag_hit"], seen["trouble"]) for seen in log[2:]] == [(304, False, "not-modified")]
    assert sorted(seen["at"] for seen in log) == [seen["at"] for seen in log]
    client.delete("/_forge/log")
    assert client.get("/_forge/log").json() == []


def test_the_state_counts_what_there_is(client):
    """Enough for a human to see that the sandbox lives."""
    client.post(f"{LIST}/2/comments", json={"body": "x"})

    state = client.get("/_forge/state").json()

    assert tuple(state[key] for key in ("issues", "comments", "requests", "pending_trouble")) == (12, 1, 1, 0)
    assert {"full_name": "tidewater/queue", "has_issues": True, "issues": 3, "open": 3} in state["repositories"]
    assert state["rate"]["remaining"] == 4999
